// Computes for live.js, apart from the page, so that the page stays at hand. Messages are answered in order;
// a run is given up for a later one between two steps.
"use strict";
let ort, session, wanted, queue = Promise.resolve();

addEventListener("message", ({ data }) => {
  wanted = data.run;
  const answer = data.load ? () => load(data.load) : () => sample(data);
  queue = queue.then(answer).catch((error) => postMessage({ error: String(error?.message ?? error) }));
});

/* The runtime's script, its WebAssembly, which comes as gzip, and the network; bytes are told as they arrive. */
async function load({ runtime, wasm, network }) {
  const get = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
    const count = (chunk, controller) => (postMessage({ bytes: chunk.byteLength }), controller.enqueue(chunk));
    return answer.body.pipeThrough(new TransformStream({ transform: count }));
  };
  const whole = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());
  const [script, binary, model] = await Promise.all([
    import(runtime),
    get(wasm).then((stream) => whole(stream.pipeThrough(new DecompressionStream("gzip")))),
    get(network).then(whole),
  ]);
  ort = script;
  // More threads would need shared memory, which a page has only if its server sends headers for it.
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = binary;
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  postMessage({ ready: true });
}

/* The reverse process over few timesteps, as in noisebook/diffusion/posterior.py: sample from the posterior of each
   strided pair, with the small variance. Guided without a classifier: at every step the network answers twice, as
   the two rows of one batch, with the class and without. `noise` is for the start and every step but the last. */
async function sample({ run, sampler, noise, label, guidance }) {
  if (!session) return;
  const { shape, classes, timesteps, time, alphas_cumprod: alphas } = sampler;
  const size = noise.length / timesteps.length;
  const oneHot = new Float32Array(2 * classes.length);
  oneHot[label] = 1;
  let x = noise.subarray(0, size);
  for (let step = 0; step < timesteps.length; step++) {
    await new Promise((resolve) => setTimeout(resolve)); // a later request is heard here
    if (wanted !== run) return;
    const rows = new Float32Array(2 * size);
    rows.set(x);
    rows.set(x, size);
    const answer = await session.run({
      x: new ort.Tensor("float32", rows, [2, ...shape]),
      time: new ort.Tensor("float32", [time[step], time[step]], [2]),
      one_hot: new ort.Tensor("float32", oneHot, [2, classes.length]),
    });
    const [asked, free] = [answer.noise.data.subarray(0, size), answer.noise.data.subarray(size)];
    const [now, then] = alphas.slice(step, step + 2); // ᾱ_t and ᾱ_s
    const beta = 1 - now / then;
    const ofClean = (Math.sqrt(then) * beta) / (1 - now);
    const ofX = (Math.sqrt(1 - beta) * (1 - then)) / (1 - now);
    const sigma = Math.sqrt((beta * (1 - then)) / (1 - now));
    const clean = new Float32Array(size), next = new Float32Array(size);
    for (let i = 0; i < size; i++) {
      const epsilon = free[i] + guidance * (asked[i] - free[i]);
      clean[i] = (x[i] - Math.sqrt(1 - now) * epsilon) / Math.sqrt(now);
      next[i] = ofClean * clean[i] + ofX * x[i]; // at ᾱ_s = 1 this is the clean digit
      if (sigma) next[i] += sigma * noise[(step + 1) * size + i];
    }
    x = next;
    postMessage({ run, step: step + 1, x, clean });
  }
}
