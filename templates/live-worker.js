// Computes for live.js, apart from the page, so that the page stays at hand. Messages are answered in order;
// a run is given up for a later one between two steps.
import { ancestral, extrapolate, normals, reverse } from "./sampling.js";

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

/* Guided without a classifier: at every step the network answers twice, as the two rows of one batch, with the class
   and without. */
async function sample({ run, sampler, seed, label, guidance }) {
  if (!session) return;
  const { shape, classes, timesteps, time, alphas_cumprod: alphas } = sampler;
  const size = shape.reduce((product, side) => product * side);
  const oneHot = new Float32Array(2 * classes.length);
  oneHot[label] = 1;
  const estimate = async (x, i) => {
    const rows = new Float32Array(2 * size);
    rows.set(x);
    rows.set(x, size);
    const answer = await session.run({
      x: new ort.Tensor("float32", rows, [2, ...shape]),
      time: new ort.Tensor("float32", [time[i], time[i]], [2]),
      one_hot: new ort.Tensor("float32", oneHot, [2, classes.length]),
    });
    const { data } = answer.noise;
    return { epsilon: extrapolate(data.subarray(size), data.subarray(0, size), guidance) };
  };
  const draw = normals(seed);
  for await (const { step, x, clean } of reverse(draw(size), alphas, estimate, draw, { rule: ancestral("small") })) {
    postMessage({ run, step, x, clean });
    await new Promise((resolve) => setTimeout(resolve)); // a later request is heard here
    if (wanted !== run) return;
  }
}
