// What a reader asks of a network that runs in the browser, and what comes of it: live-worker.js computes.
import { chosen, linkTo, packBits, packLevels, remember, unpackBits, unpackLevels } from "./address.js";
import { TOOLS, drawingPad } from "./drawing.js";
import { forward, normals, path } from "./sampling.js";

const LEVELS = 15;
const FRAMES = 8;
const TASKS = { noise: "Draw from noise", edit: "Bring a drawing back", fill: "Fill a hole" };
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/* One of several, as a row of buttons. `names`: value → what stands on its button. */
function choice(legend, names, group, className = "") {
  const radios = Object.entries(names).map(([value, name]) => [make("input", { type: "radio", name: group, value }), name]);
  const element = make("fieldset", { className: `choice ${className}` }, make("legend", { textContent: legend }),
    ...radios.map(([radio, name]) => make("label", {}, radio, make("span", { textContent: name }))));
  return {
    element,
    names,
    get value() {
      return radios.find(([radio]) => radio.checked)[0].value;
    },
    set value(value) {
      for (const [radio] of radios) radio.checked = radio.value === String(value);
    },
  };
}

function field(name, ...inputs) {
  return make("label", {}, make("span", { textContent: name }), ...inputs);
}

/* Grey pixels of [0, 1] onto a canvas; none clears it. */
function paint(canvas, values, left = 0, top = 0, width = canvas.width, height = canvas.height) {
  const context = canvas.getContext("2d");
  if (!values) return context.clearRect(left, top, width, height);
  const image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    image.data.fill(Math.round(255 * Math.min(1, Math.max(0, values[i]))), 4 * i, 4 * i + 3);
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, left, top);
}

function picture(name, width, height) {
  const canvas = make("canvas", { width, height });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  return canvas;
}

export function live(box) {
  const { worker: script, runtime, wasm, network } = box.dataset;
  const sampler = JSON.parse(box.dataset.sampler), weights = JSON.parse(box.dataset.weights);
  const { first, methods } = sampler;
  const [height, width] = sampler.shape.slice(-2), size = width * height;
  const absolute = (address) => new URL(address, document.baseURI).href;
  const id = box.closest("figure").id;
  const stored = sampler.digits.map((digit) => Uint8Array.from(digit, (level) => parseInt(level, 16)));

  // What is asked for
  const button = (textContent, properties = {}) => make("button", { type: "button", textContent, ...properties });
  const group = (name) => `${id}-${name}`;
  const task = choice("Task", TASKS, group("task"), "named long");
  const tool = choice("Tool", Object.fromEntries(Object.keys(TOOLS).map((name) => [name, name[0].toUpperCase() + name.slice(1)])), group("tool"), "short");
  const begin = make("select", {}, make("option", { value: "own", textContent: "your own" }), make("option", { value: "empty", textContent: "an empty page" }),
    ...stored.map((_, i) => make("option", { value: i, textContent: `a handwritten ${sampler.classes[i]}` })));
  const undo = button("Undo");
  const label = choice("As class", { ...sampler.classes, any: "any" }, group("class"));
  const method = choice("Method", Object.fromEntries(Object.entries(methods).map(([name, each]) => [name, each.label])), group("method"), "named");
  const steps = make("select", {}, ...Object.keys(sampler.times).map((count) => make("option", { value: count, textContent: count })));
  const gamma = range("Guidance γ", first.largest, first.guidance, 0.5), gammaSaid = make("output");
  const start = range("Begin at step i_start", 1, 0), startSaid = make("output");
  const seed = make("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, value: first.noise, required: true });
  const another = button("Another", { ariaLabel: "Another seed" });
  const pad = drawingPad({ width, height, levels: LEVELS, changed: () => ((begin.value = "own"), changed()) });
  const desk = make("div", { className: "desk" }, pad.element,
    make("div", { className: "desk-tools" }, tool.element, field("Begin with", begin), undo));
  const from = make("label", {}, make("span", {}, "Noise: i", make("sub", { textContent: "start" })), start, startSaid);
  const controls = make("div", { className: "asked" }, task.element, desk, label.element, method.element, from,
    field("Guidance γ", gamma, gammaSaid), field("Steps", steps), make("div", {}, field("Seed of the noise", seed), another));

  // What is shown
  const now = picture("The noisy digit", width, height), guess = picture("The network's guess at the clean digit", width, height);
  const nowSaid = make("figcaption"), guessSaid = make("figcaption");
  const pair = make("div", { className: "pair" }, make("figure", {}, now, nowSaid), make("figure", {}, guess, guessSaid));
  const film = picture("", FRAMES * (width + 1) - 1, 2 * height + 1);
  film.className = "reel";
  const at = range("Step of the reverse process", 1, 0);
  const go = button("", { className: "begin" }), stop = button("Stop", { hidden: true });
  const save = button("Save picture", { disabled: true }), copy = button("Copy link", { hidden: !navigator.clipboard });
  const meter = make("progress", { value: 0, hidden: true, ariaLabel: "Loading" });
  const status = make("p", { className: "status" });
  status.setAttribute("role", "status");
  box.querySelector(".place").replaceWith(controls, pair, film, at, make("div", { className: "go" }, go, stop, save, copy, meter, status));

  let states = [], levels = [], run = 0, worker = null, running = false, loading = null, begun = 0, wasAsked = null;
  const loaded = new Set();
  const flows = () => !methods[method.value].rule;
  const needed = () => methods[method.value].network;
  const here = () => loaded.has(needed());
  const missing = () => (loaded.size ? 0 : Number(box.dataset.bytes)) + (here() ? 0 : weights[needed()].bytes);
  const asked = () => ({
    task: task.value,
    method: method.value,
    label: label.value === "any" ? null : Number(label.value),
    gamma: Number(gamma.value),
    steps: Number(steps.value),
    seed: Number(seed.value),
    start: task.value === "edit" ? Number(start.value) : 0,
    drawing: task.value === "noise" ? null : Float32Array.from(pad.levels, (level) => level / LEVELS),
    hole: task.value === "fill" ? Float32Array.from(pad.hole) : null,
  });

  // The address
  const settings = () => {
    const { task, method, steps, gamma, seed, drawing, hole } = asked();
    return {
      ...{ task, method, class: label.value, gamma, steps, seed },
      ...(task === "edit" && { start: start.value }),
      ...(drawing && { drawing: packLevels(pad.levels) }),
      ...(hole && { hole: packBits(pad.hole) }),
    };
  };
  /* Takes from the address what it understands, and leaves the rest as it is. */
  const read = () => {
    const given = chosen(id);
    if (!given) return false;
    const oneOf = (name, control, names) => Object.hasOwn(names, given.get(name)) && (control.value = given.get(name));
    const within = (name, input) => {
      const text = given.get(name), value = Number(text);
      if (/^\d{1,10}(\.\d+)?$/.test(text) && value >= Number(input.min) && value <= Number(input.max)) input.value = value;
    };
    if (oneOf("task", task, TASKS)) tool.value = task.value === "fill" ? "hole" : "pen";
    oneOf("method", method, methods);
    oneOf("class", label, label.names);
    oneOf("steps", steps, sampler.times);
    start.max = Number(steps.value) - 1;
    within("gamma", gamma);
    within("start", start);
    if (/^\d+$/.test(given.get("seed"))) within("seed", seed);
    const drawing = unpackLevels(given.get("drawing") ?? "", size), hole = unpackBits(given.get("hole") ?? "", size);
    if (drawing && given.has("drawing")) begin.value = "own";
    pad.set(given.has("drawing") ? (drawing ?? pad.levels) : pad.levels, given.has("hole") ? (hole ?? pad.hole) : pad.hole);
    return true;
  };

  const said = (step) => {
    const level = levels[step];
    if (level === (flows() ? 1 : 0)) return "No noise left";
    return flows() ? `t = ${level.toFixed(2)} of the flow` : `Noise of t = ${level}`;
  };
  /* Some of the states, from the first to the last: the pictures above, the network's guesses below. */
  const roll = () => {
    const last = levels.length - 1;
    paint(film, null);
    for (let k = 0; k < FRAMES; k++) {
      const state = states[Math.round((k * last) / (FRAMES - 1))];
      if (!state) continue;
      paint(film, state.x, k * (width + 1), 0, width, height);
      if (state.clean) paint(film, state.clean, k * (width + 1), height + 1, width, height);
    }
    film.setAttribute("aria-label", `The way, in ${FRAMES} of ${last + 1} pictures: above with their noise, below the network's guesses`);
  };
  const show = (step) => {
    at.value = step;
    paint(now, states[step].x);
    paint(guess, states[step].clean);
    nowSaid.textContent = said(step);
    guessSaid.textContent = step ? "The network’s guess" : "The network’s guess: none yet";
    at.setAttribute("aria-valuetext", `${step} of ${levels.length - 1}`);
  };
  const rest = () => {
    running = false;
    stop.hidden = meter.hidden = !loading;
    go.disabled = Boolean(loading);
    go.textContent = here() ? "Draw again" : `Load ${megabytes(missing())} and draw`;
    at.disabled = states.length < 2;
    save.disabled = states.length < levels.length;
  };
  /* The controls as the task has them, and what they say. */
  const arrange = () => {
    const { task, steps, start: first } = asked();
    const holes = task === "fill";
    start.max = steps - 1;
    levels = (flows() ? sampler.times[steps] : [...sampler.timesteps[steps], 0]).slice(first);
    desk.hidden = task === "noise";
    from.hidden = task !== "edit";
    pad.showHole(holes);
    for (const input of all("input", tool.element)) input.parentElement.hidden = !holes && ["hole", "mend"].includes(input.value);
    if (!holes && ["hole", "mend"].includes(tool.value)) tool.value = "pen";
    pad.tool = tool.value;
    gamma.disabled = label.value === "any";
    gammaSaid.textContent = gamma.disabled ? "–" : gamma.value;
    startSaid.textContent = `${first}: t = ${flows() ? levels[0].toFixed(2) : levels[0]}`;
  };
  /* Back to the picture that the process begins with. */
  const reset = () => {
    run += 1;
    worker?.postMessage({ run });
    arrange();
    const { task, seed, drawing } = asked();
    const noise = normals(seed)(size);
    const clean = task === "edit" ? drawing : null;
    states = [{ x: !clean ? noise : flows() ? path(clean, noise, levels[0]) : forward(clean, sampler.alphas_cumprod[levels[0]], noise) }];
    at.max = levels.length - 1;
    show(0);
    roll();
    rest();
  };
  const failed = (message) => {
    worker?.terminate();
    worker = null;
    loaded.clear();
    loading = null;
    rest();
    go.textContent = `Try again (${megabytes(missing())})`;
    status.textContent = `That did not work: ${message}.`;
  };
  const ask = () => {
    if (!seed.reportValidity()) return;
    reset();
    wasAsked = asked();
    if (wasAsked.hole && !wasAsked.hole.some(Boolean)) {
      status.textContent = "The drawing has no hole: choose the tool Hole, and paint where the network may draw.";
      return;
    }
    if (!worker) {
      worker = new Worker(script, { type: "module" });
      worker.addEventListener("message", answered);
      worker.addEventListener("error", (event) => (event.preventDefault(), failed(event.message || "the worker could not be started")));
      const addresses = Object.fromEntries(Object.entries(weights).map(([name, file]) => [name, absolute(file.path)]));
      worker.postMessage({ sampler, files: { runtime: absolute(runtime), wasm: absolute(wasm), operations: absolute(network), weights: addresses } });
    }
    if (!here() && !loading) [loading, meter.value, meter.max] = [needed(), 0, missing()];
    [running, begun] = [true, performance.now()];
    [stop.hidden, go.disabled, meter.hidden] = [false, true, !loading];
    status.textContent = loading ? "Loading …" : "Drawing …";
    worker.postMessage({ run, asked: wasAsked });
  };
  const summary = () => {
    const { task, method, label, gamma, seed } = wasAsked;
    const what = label === null ? "a digit of any class" : sampler.classes[label];
    const how = label === null ? "" : ` with γ = ${gamma}`;
    const verb = { noise: `Drew ${what}`, edit: `Brought the drawing back as ${what}`, fill: `Filled the hole as ${what}` }[task];
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    return `${verb}${how} by ${methods[method].label} from seed ${seed}: ${levels.length - 1} steps in ${seconds} s on your machine.`;
  };
  const answered = ({ data }) => {
    if (data.error) return failed(data.error);
    if (data.bytes) meter.value += data.bytes;
    if (data.ready) {
      if (!loaded.has(data.ready)) begun = performance.now();
      loaded.add(data.ready);
      loading = null;
      meter.hidden = true;
      if (running) status.textContent = "Drawing …";
      else rest();
    }
    if (data.run !== run || !running) return;
    states[data.step] = data;
    const last = data.step === levels.length - 1;
    if (last || !still.matches) {
      show(data.step);
      roll();
    }
    if (!last) return;
    rest();
    status.textContent = summary();
  };
  const changed = () => {
    if (!seed.reportValidity()) return;
    remember(id, settings());
    answerTo();
  };
  /* What has changed is drawn at once, if nothing more need be loaded than has been asked for. */
  const answerTo = () => {
    if (here() || loading === needed()) return ask();
    reset();
    status.textContent = "";
  };

  go.addEventListener("click", ask);
  stop.addEventListener("click", () => {
    run += 1;
    worker.postMessage({ run });
    status.textContent = loading ? "Stopped loading." : `Stopped after ${states.length - 1} of ${levels.length - 1} steps.`;
    if (loading) {
      worker.terminate();
      worker = loading = null;
      loaded.clear();
    }
    rest();
    go.focus();
  });
  save.addEventListener("click", () => {
    const large = make("canvas", { width: 10 * width, height: 10 * height });
    const small = picture("", width, height), context = large.getContext("2d");
    paint(small, states.at(-1).x);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, 0, 0, large.width, large.height);
    large.toBlob((blob) => {
      const href = URL.createObjectURL(blob);
      make("a", { href, download: `digit-${wasAsked.task}-${wasAsked.seed}.png` }).click();
      setTimeout(() => URL.revokeObjectURL(href), 10_000);
    });
  });
  copy.addEventListener("click", () =>
    navigator.clipboard.writeText(linkTo(id, settings())).then(
      () => (copy.textContent = "Copied"),
      () => (copy.textContent = "Not allowed"),
    ));
  // While a slider moves the picture that the process begins with follows; what is drawn waits for its end.
  for (const input of [gamma, start]) input.addEventListener("input", () => (loading ? arrange() : reset()));
  tool.element.addEventListener("change", (event) => (event.stopPropagation(), (pad.tool = tool.value)));
  task.element.addEventListener("change", () => (tool.value = task.value === "fill" ? "hole" : "pen"));
  begin.addEventListener("change", () => begin.value === "own" || pad.set(stored[begin.value] ?? new Uint8Array(size), pad.hole));
  controls.addEventListener("change", changed);
  undo.addEventListener("click", () => pad.undo());
  another.addEventListener("click", () => {
    seed.value = crypto.getRandomValues(new Uint32Array(1))[0] % 10000;
    changed();
  });
  at.addEventListener("input", () => show(Math.min(Number(at.value), states.length - 1)));
  addEventListener("hashchange", () => read() && answerTo());

  // What the page begins with: of the drawing, the lower half is a hole
  [task.value, tool.value, label.value, method.value, steps.value] = ["noise", "pen", 0, "ddpm", first.steps];
  start.max = first.steps - 1;
  start.value = Math.round(0.6 * first.steps);
  begin.value = first.digit;
  pad.set(stored[first.digit], Uint8Array.from({ length: size }, (_, i) => (i >= size / 2 ? 1 : 0)));
  if (read()) box.scrollIntoView();
  reset();
}
