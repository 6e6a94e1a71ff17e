// Pictures from words: words-worker.js computes, this asks and shows.
import { chosen, linkTo, packLevels, remember, unpackLevels } from "./address.js";

const COLOURS = { white: "#ffffff", black: "#141414", grey: "#8c8c8c", red: "#d23228", orange: "#eb8c28", yellow: "#f5d74b", green: "#4b963c", blue: "#377dc8", "light blue": "#aad2f0", brown: "#78502d", skin: "#f0c8a5", pink: "#eb96b4" };
const ROLES = { picture: ["Subject"], anagram: ["Upright", "Turned"], hybrid: ["From afar", "From near"], sketch: ["Subject"] };
const TURNS = { flip: [180, "x "], "half turn": [180, ""], "quarter turn": [-90, ""] };
const SIDE = 64;
const RGB = Object.values(COLOURS).map((colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16)));

/* A square of SIDE pixels that a reader paints on, with a pointer or the keyboard: each has the number of a colour.
   `changed` is called after a stroke. */
function sketchpad(canvas, colour, brush, changed) {
  const context = canvas.getContext("2d"), scale = canvas.width / SIDE;
  const pixels = new Uint8Array(SIDE * SIDE), undone = [];
  let at = null, cursor = null;
  const show = () => {
    pixels.forEach((value, i) => {
      context.fillStyle = Object.values(COLOURS)[value];
      context.fillRect((i % SIDE) * scale, Math.floor(i / SIDE) * scale, scale, scale);
    });
    if (!cursor) return;
    for (const [width, shade] of [[4, "#ffffff"], [2, "#000000"]]) {
      context.beginPath();
      context.arc((cursor.x + 0.5) * scale, (cursor.y + 0.5) * scale, brush() * scale, 0, 7);
      context.lineWidth = width;
      context.strokeStyle = shade;
      context.stroke();
    }
  };
  const keep = () => (undone.push(pixels.slice()), undone.length > 30 && undone.shift());
  const line = (from, to) => {
    const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y))), r = brush();
    for (let k = 0; k <= steps; k++) {
      const cx = from.x + ((to.x - from.x) * k) / steps, cy = from.y + ((to.y - from.y) * k) / steps;
      for (let y = Math.max(0, Math.floor(cy - r)); y <= Math.min(SIDE - 1, cy + r); y++) {
        for (let x = Math.max(0, Math.floor(cx - r)); x <= Math.min(SIDE - 1, cx + r); x++) {
          if ((x - cx) ** 2 + (y - cy) ** 2 < r * r) pixels[y * SIDE + x] = colour();
        }
      }
    }
    show();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE - 0.5, y: ((event.clientY - box.top) / box.height) * SIDE - 0.5 };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    cursor = null;
    keep();
    at = place(event);
    line(at, at);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!at) return;
    const to = place(event);
    line(at, to);
    at = to;
  });
  canvas.addEventListener("lostpointercapture", () => {
    at = null;
    changed();
  });
  canvas.addEventListener("keydown", (event) => {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], " ": [0, 0] }[event.key] ?? [];
    if (dx === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const before = (cursor ??= { x: SIDE / 2, y: SIDE / 2 });
    const within = (value) => Math.min(SIDE - 1, Math.max(0, value));
    cursor = { x: within(before.x + 2 * dx), y: within(before.y + 2 * dy) };
    if (event.key !== " " && !event.shiftKey) return show();
    if (!event.repeat) keep(); // a key held down is one stroke
    line(before, cursor);
    changed();
  });
  canvas.addEventListener("blur", () => ((cursor = null), show()));
  show();
  return {
    pixels,
    set: (values) => (keep(), pixels.set(values), show(), changed()),
    undo: () => undone.length && (pixels.set(undone.pop()), show(), changed()),
    planes: () => Float32Array.from({ length: 3 * SIDE ** 2 }, (_, i) => RGB[pixels[i % SIDE ** 2]][Math.floor(i / SIDE ** 2)] / 127.5 - 1),
  };
}

export function live(box) {
  const form = box.querySelector("form"), id = box.closest("figure").id;
  const absolute = (path) => new URL(path, document.baseURI).href;
  const files = { words: absolute(box.dataset.words), runtime: absolute(box.dataset.runtime), wasm: absolute(box.dataset.wasm) };
  const timesteps = JSON.parse(box.dataset.timesteps), examples = JSON.parse(box.dataset.examples);
  const field = (name) => form.elements[name], act = (name) => box.querySelector(`[data-act="${name}"]`);
  const names = new Map(all("option", box.querySelector("datalist")).map(({ value, dataset }) => [value, dataset.phrase]));
  const [status, meter] = [box.querySelector(".status"), box.querySelector("progress")];
  const drawn = box.querySelector(".drawn"), paper = drawn.querySelector(".paper"), canvas = paper.querySelector("canvas");
  const turning = drawn.querySelector(".turning"), receding = drawn.querySelector(".receding");
  box.querySelector(".place").remove();
  form.hidden = false;

  // What is asked for
  const palette = form.querySelector(".palette");
  Object.entries(COLOURS).forEach(([name, colour], value) => {
    const swatch = make("span");
    swatch.style.background = colour;
    const radio = make("input", { type: "radio", name: "colour", value, checked: name === "black", title: name });
    radio.setAttribute("aria-label", name);
    palette.append(make("label", {}, radio, swatch));
  });
  const pad = sketchpad(form.querySelector(".sketching canvas"), () => Number(field("colour").value), () => Number(field("brush").value), () => remember(id, settings(asked())));
  const asked = () => {
    const mode = field("mode").value;
    return {
      mode,
      subjects: ROLES[mode].map((_, k) => ({ name: field(`subject${k + 1}`).value.trim(), style: field(`style${k + 1}`).value })),
      view: field("view").value,
      seed: Number(field("seed").value),
      steps: field("steps").value,
      start: Number(field("start").value),
    };
  };
  const arrange = () => {
    const { mode, steps } = asked(), roles = ROLES[mode];
    all(".subject", form).forEach((row, k) => {
      row.hidden = k >= roles.length;
      row.querySelector(".role").textContent = roles[k] ?? "";
      row.querySelector("input").required = k < roles.length;
    });
    form.querySelector(".view").hidden = mode !== "anagram";
    form.querySelector(".sketching").hidden = mode !== "sketch";
    const start = field("start");
    start.max = timesteps[steps].length - 1;
    form.querySelector(".sketching output").textContent = `t = ${timesteps[steps][start.value]}`;
  };
  const known = () => {
    for (const k of [1, 2]) {
      const input = field(`subject${k}`), name = input.value.trim();
      const found = names.has(name) ? name : [...names.keys()].find((each) => each.toLowerCase() === name.toLowerCase());
      if (found) input.value = found;
      const near = [...names.keys()].filter((each) => name && each.includes(name.toLowerCase())).slice(0, 3);
      input.setCustomValidity(found || !input.required || !name ? "" : near.length ? `No subject is called that; there is ${near.join(", ")}.` : "No subject is called that: choose one of the list.");
    }
    return form.reportValidity();
  };
  /* Takes the settings that a control understands, and leaves the others as they are. */
  const fill = ({ mode, subjects = [], view, seed, steps, start }) => {
    const put = (name, value) => {
      const control = field(name), before = control.value;
      if ([undefined, null, ""].includes(value)) return;
      control.value = value;
      if (control.value !== String(value) || control.validity?.valid === false) control.value = before;
    };
    put("mode", mode);
    put("steps", steps);
    arrange(); // how far the start may be depends on the steps
    subjects.forEach(({ name, style }, k) => (put(`subject${k + 1}`, name), put(`style${k + 1}`, style)));
    for (const [name, value] of Object.entries({ view, seed, start })) put(name, value);
    arrange();
  };

  // The address
  const settings = ({ mode, subjects, view, seed, steps, start }) => ({
    mode,
    ...Object.fromEntries(subjects.flatMap(({ name, style }, k) => [[`subject${k + 1}`, name], [`style${k + 1}`, style]])),
    ...(mode === "anagram" && { view }),
    ...(mode === "sketch" && { start, sketch: packLevels(pad.pixels) }),
    ...{ steps, seed },
  });
  const read = () => {
    const given = chosen(id);
    if (!given) return false;
    fill({
      ...Object.fromEntries(["mode", "view", "seed", "steps", "start"].map((name) => [name, given.get(name)])),
      subjects: [1, 2].map((k) => ({ name: given.get(`subject${k}`), style: given.get(`style${k}`) })),
    });
    const sketch = unpackLevels(given.get("sketch") ?? "", SIDE ** 2);
    if (given.has("sketch") && sketch?.every((value) => value < RGB.length)) pad.set(sketch);
    return true;
  };
  if (examples[0]) fill({ ...examples[0], subjects: [...examples[0].subjects, ...(examples.find((each) => each.subjects[1])?.subjects.slice(1) ?? [])] });
  if (read()) box.scrollIntoView();

  // What is shown
  let run = 0, worker = null, begun = 0, shown = null, loaded = 0;
  const paint = (x) => {
    const context = canvas.getContext("2d"), image = context.createImageData(SIDE, SIDE), area = SIDE * SIDE;
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(127.5 * (Math.min(1, Math.max(-1, x[c * area + i])) + 1));
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };
  const said = ({ mode, subjects }) => {
    const caption = ({ name, style }) => [...field("style1").options].find((option) => option.value === style).dataset.caption.replace("{}", names.get(name));
    const [one, two] = subjects.map(caption);
    return { picture: one, sketch: `${one}, from a sketch`, anagram: `${one}; turned, ${two}`, hybrid: `${two} from near, ${one} from afar` }[mode];
  };
  const pose = () => {
    const turn = Number(turning.querySelector("input").value) / 100, far = Number(receding.querySelector("input").value) / 100;
    const [degrees, axis] = (shown?.mode === "anagram" && TURNS[shown.view]) || [0, ""];
    canvas.style.rotate = `${axis}${degrees * turn}deg`;
    canvas.style.scale = shown?.mode === "hybrid" ? 0.12 ** far : 1;
    canvas.style.imageRendering = far && shown?.mode === "hybrid" ? "auto" : "";
    act("over").textContent = turn < 0.5 ? "Turn over" : "Turn back";
  };
  const finish = (text) => {
    act("stop").disabled = true;
    meter.hidden = true;
    status.textContent = text;
  };
  const answered = ({ data }) => {
    if (data.run !== run) return;
    if (data.error) return finish(`That did not work: ${data.error}.`);
    if (data.bytes) {
      loaded += data.bytes;
      status.textContent = `Loading: ${(loaded / 1e6).toFixed(1)} MB …`;
    }
    if (data.making !== undefined) {
      meter.value = data.making / 2;
      if (data.making) status.textContent = "Making the subject’s pictures …";
    }
    if (!data.step) return;
    meter.value = 0.5 + data.step / data.of / 2;
    const last = data.step === data.of;
    if (last || !still.matches) paint(data.x);
    if (!last) return (status.textContent = `Step ${data.step} of ${data.of}`);
    for (const name of ["save", "link", "over"]) act(name).disabled = false;
    canvas.setAttribute("aria-label", `The picture, drawn as ${said(shown)}`);
    finish(`Drew ${said(shown)}, from seed ${shown.seed}: ${data.of} steps, ${((performance.now() - begun) / 1000).toFixed(1)} s on your machine.`);
  };
  const draw = () => {
    if (!known()) return;
    if (!worker) {
      worker = new Worker(absolute(box.dataset.worker), { type: "module" });
      worker.addEventListener("message", answered);
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        worker = null;
        finish(`That did not work: ${event.message || "the worker could not be started"}.`);
      });
    }
    shown = asked();
    remember(id, settings(shown));
    run += 1;
    loaded = 0;
    begun = performance.now();
    drawn.hidden = meter.hidden = act("stop").disabled = false;
    meter.value = 0;
    turning.hidden = act("over").hidden = shown.mode !== "anagram";
    receding.hidden = shown.mode !== "hybrid";
    for (const input of [turning, receding]) input.querySelector("input").value = 0;
    for (const name of ["save", "link", "over"]) act(name).disabled = true;
    pose();
    canvas.getContext("2d").clearRect(0, 0, SIDE, SIDE);
    paper.scrollIntoView({ block: "nearest", behavior: still.matches ? "auto" : "smooth" });
    status.textContent = "Drawing …";
    worker.postMessage({ run, files, ...shown, sketch: shown.mode === "sketch" ? pad.planes() : null });
  };
  form.addEventListener("submit", (event) => (event.preventDefault(), draw()));
  form.addEventListener("change", () => (arrange(), remember(id, settings(asked()))));
  addEventListener("hashchange", read);
  form.addEventListener("input", (event) => (event.target.setCustomValidity?.(""), arrange()));
  act("stop").addEventListener("click", () => {
    run += 1;
    worker?.postMessage({ run });
    finish("Stopped.");
    form.querySelector(".begin").focus();
  });
  act("another").addEventListener("click", () => {
    field("seed").value = crypto.getRandomValues(new Uint32Array(1))[0] % 10000;
    draw();
  });
  act("fill").addEventListener("click", () => pad.set(new Uint8Array(SIDE ** 2).fill(Number(field("colour").value))));
  act("undo").addEventListener("click", pad.undo);
  turning.addEventListener("input", pose);
  receding.addEventListener("input", pose);
  act("over").addEventListener("click", () => {
    const input = turning.querySelector("input"), target = Number(input.value) < 50 ? 100 : 0;
    const go = () => {
      const way = target - input.value, step = still.matches ? 100 : 2.5;
      input.value = Number(input.value) + Math.sign(way) * Math.min(step, Math.abs(way));
      pose();
      if (Number(input.value) !== target) requestAnimationFrame(go);
    };
    go();
  });
  act("save").addEventListener("click", () => {
    const large = make("canvas", { width: 8 * SIDE, height: 8 * SIDE }), context = large.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(canvas, 0, 0, large.width, large.height);
    large.toBlob((blob) => {
      const href = URL.createObjectURL(blob);
      make("a", { href, download: `${shown.subjects.map(({ name }) => name).join("-")}-${shown.seed}.png`.replaceAll(" ", "-") }).click();
      setTimeout(() => URL.revokeObjectURL(href), 60_000);
    });
  });
  act("link").addEventListener("click", async () => {
    await navigator.clipboard?.writeText(linkTo(id, settings(asked())));
    status.textContent = navigator.clipboard ? "The link is copied." : "The address of this page has these settings.";
  });

  // What was drawn beforehand can be drawn here.
  const usual = [...field("steps").options].find((option) => option.defaultSelected)?.value;
  const buttons = examples.map((example) => {
    const button = make("button", { type: "button", textContent: example.subjects.map(({ name }) => name).join(" / ") });
    button.addEventListener("click", () => (fill({ steps: usual, ...example }), draw()));
    return button;
  });
  form.prepend(make("p", { className: "tries" }, make("span", { textContent: "For example " }), ...buttons));
}
