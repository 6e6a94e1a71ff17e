// Figures whose network the reader's own browser runs; live-worker.js computes, this asks and shows.
"use strict";

/* Why it cannot run here, or nothing. */
function hindrance() {
  if (location.protocol === "file:") {
    const name = decodeURIComponent(location.pathname.split("/").pop());
    return [
      "This page was opened as a file, and browsers let no such page read the other files that it needs, among them the network. From a server it runs: in the folder of this page, type ",
      make("code", { textContent: "python3 -m http.server" }),
      " and open ",
      make("code", { textContent: `http://localhost:8000/${name}` }),
      ".",
    ];
  }
  if (!window.Worker || !window.WebAssembly || !window.DecompressionStream) {
    return ["This browser is too old to run the network: it lacks workers, WebAssembly or DecompressionStream."];
  }
  return null;
}

async function live(box) {
  const place = box.querySelector(".place");
  const why = hindrance();
  if (why) return place.replaceWith(make("p", {}, ...why));
  const { network, worker: script, sampling, runtime, wasm, bytes, size: weight } = box.dataset;
  const sampler = JSON.parse(box.dataset.sampler);
  const { shape, classes, timesteps } = sampler;
  const [height, width] = shape.slice(-2);
  const size = shape.reduce((product, side) => product * side);
  const absolute = (path) => new URL(path, document.baseURI).href;
  const { normals } = await import(absolute(sampling));

  // What is asked for
  const group = `class-${all(".live").indexOf(box)}`;
  const radios = classes.map((name, i) => make("input", { type: "radio", name: group, value: i, checked: !i }));
  const choice = make("fieldset", { className: "choice" }, make("legend", { textContent: "Draw" }),
    ...radios.map((radio, i) => make("label", {}, radio, make("span", { textContent: classes[i] }))));
  const gamma = range("Guidance γ", sampler.guidance.largest, sampler.guidance.first, 0.5);
  const gammaShown = make("output");
  const seed = make("input", { type: "number", min: 0, max: 2 ** 32 - 1, step: 1, value: sampler.noise, required: true });
  const another = make("button", { type: "button", textContent: "Another" });
  another.setAttribute("aria-label", "Another seed");
  const controls = make("div", { className: "asked" }, choice,
    make("label", {}, make("span", { textContent: "Guidance γ" }), gamma, gammaShown),
    make("div", {}, make("label", {}, make("span", { textContent: "Seed of the noise" }), seed), another));

  // What is shown
  const canvas = (name) => {
    const element = make("canvas", { width, height });
    element.setAttribute("role", "img");
    element.setAttribute("aria-label", name);
    return element;
  };
  const now = canvas("The noisy digit"), guess = canvas("The network's guess at the clean digit");
  const nowSaid = make("figcaption"), guessSaid = make("figcaption");
  const pair = make("div", { className: "pair" }, make("figure", {}, now, nowSaid), make("figure", {}, guess, guessSaid));
  const at = range("Step of the reverse process", timesteps.length, 0);
  at.disabled = true;
  const start = make("button", { type: "button", className: "begin", textContent: `Load ${weight} and draw` });
  const meter = make("progress", { max: bytes, value: 0, hidden: true });
  meter.setAttribute("aria-label", "Loading");
  const status = make("p", { className: "status" });
  status.setAttribute("role", "status");
  place.replaceWith(controls, pair, at, make("div", { className: "go" }, start, meter, status));

  let states = [], run = 0, worker = null, ready = false, begun = 0;
  const paint = (element, values) => {
    const context = element.getContext("2d");
    if (!values) return context.clearRect(0, 0, width, height);
    const image = context.createImageData(width, height);
    const channels = values.length / (width * height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) {
        const value = values[(c % channels) * width * height + i];
        image.data[4 * i + c] = Math.round(255 * Math.min(1, Math.max(0, value)));
      }
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  };
  const show = (step) => {
    at.value = step;
    paint(now, states[step].x);
    paint(guess, states[step].clean);
    nowSaid.textContent = step < timesteps.length ? `Noise of t = ${timesteps[step]}` : "No noise left";
    guessSaid.textContent = step ? "The network’s guess" : "The network’s guess: none yet";
    at.setAttribute("aria-valuetext", `${step} of ${timesteps.length}`);
  };
  const asked = () => ({
    label: radios.findIndex((radio) => radio.checked),
    guidance: Number(gamma.value),
    seed: Number(seed.value),
  });
  const reset = () => {
    gammaShown.textContent = gamma.value;
    states = [{ x: normals(asked().seed)(size) }];
    at.disabled = true;
    show(0);
  };
  const ask = () => {
    reset();
    run += 1;
    begun = performance.now();
    status.textContent = "Drawing …";
    worker.postMessage({ run, sampler, ...asked() });
  };
  const failed = (message) => {
    worker?.terminate();
    worker = null;
    ready = false;
    meter.hidden = true;
    start.disabled = false;
    start.textContent = `Try again (${weight})`;
    status.textContent = `That did not work: ${message}.`;
  };
  const answered = ({ data }) => {
    if (data.error) return failed(data.error);
    if (data.bytes) meter.value += data.bytes;
    if (data.ready) {
      ready = true;
      meter.hidden = true;
      start.disabled = false;
      start.textContent = "Draw again";
      ask();
    }
    if (data.run !== run) return;
    states[data.step] = data;
    const last = data.step === timesteps.length;
    if (last || !still.matches) show(data.step);
    if (!last) return;
    const seconds = (performance.now() - begun) / 1000;
    const { label, guidance, seed } = asked();
    at.disabled = false;
    status.textContent = `Drew ${classes[label]} with γ = ${guidance} from seed ${seed}: ${timesteps.length} steps in ${seconds.toFixed(1)} s on your machine.`;
  };
  start.addEventListener("click", () => {
    if (!seed.reportValidity()) return;
    if (ready) return ask();
    start.disabled = true;
    meter.value = 0;
    meter.hidden = false;
    status.textContent = "Loading …";
    worker = new Worker(script, { type: "module" });
    worker.addEventListener("message", answered);
    worker.addEventListener("error", (event) => (event.preventDefault(), failed(event.message || "the worker could not be started")));
    worker.postMessage({ load: { runtime: absolute(runtime), wasm: absolute(wasm), network: absolute(network) } });
  });
  const changed = () => {
    if (seed.reportValidity()) ready ? ask() : reset();
  };
  controls.addEventListener("change", changed);
  gamma.addEventListener("input", () => (gammaShown.textContent = gamma.value));
  another.addEventListener("click", () => {
    seed.value = crypto.getRandomValues(new Uint32Array(1))[0] % 10000;
    changed();
  });
  at.addEventListener("input", () => show(Number(at.value)));
  reset();
}

all(".live").forEach(live);
