// Computes for live-page.js, apart from the page, so that the page stays at hand. Requests are answered in order; a
// run is given up, between two steps, for a later one or for none.
import * as sampling from "./sampling.js";

let ort, operations, told, wanted, queue = Promise.resolve();
const sessions = {};

addEventListener("message", ({ data }) => {
  if (data.files) return void (told = data);
  wanted = data.run;
  if (!data.asked) return;
  queue = queue.then(() => answer(data)).catch((error) => postMessage({ error: String(error?.message ?? error) }));
});

async function answer({ run, asked }) {
  const { network } = told.sampler.methods[asked.method];
  sessions[network] ??= await load(network);
  postMessage({ ready: network });
  if (wanted !== run) return;
  for await (const state of drawn(sessions[network], told.sampler, asked)) {
    if (wanted !== run) return;
    postMessage({ run, ...state });
    await new Promise((resolve) => setTimeout(resolve)); // a later request is heard here
    if (wanted !== run) return;
  }
}

/* The runtime's script, its WebAssembly, which comes as gzip, the operations, and the weights, where the operations
   look for them; bytes are told as they arrive. */
async function load(network) {
  const get = async (address) => {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
    const count = (chunk, controller) => (postMessage({ bytes: chunk.byteLength }), controller.enqueue(chunk));
    return answer.body.pipeThrough(new TransformStream({ transform: count }));
  };
  const whole = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());
  const unpacked = (stream) => whole(stream.pipeThrough(new DecompressionStream("gzip")));
  const { files, sampler } = told;
  const [script, binary, graph, data] = await Promise.all([
    ort ?? import(files.runtime),
    ort ? null : get(files.wasm).then(unpacked),
    operations ?? get(files.operations).then(whole),
    get(files.weights[network]).then(whole),
  ]);
  if (!ort) {
    // More threads would need shared memory, which a page has only if its server sends headers for it.
    script.env.wasm.numThreads = 1;
    script.env.wasm.wasmBinary = binary;
  }
  [ort, operations] = [script, graph];
  const externalData = [{ path: sampler.weights, data }];
  return ort.InferenceSession.create(graph, { executionProviders: ["wasm"], externalData });
}

/* What is asked for, by the method's steps: noisebook/generators/_mnist_live.py. */
async function* drawn(session, sampler, { method, label, gamma, steps, seed, drawing, start, hole }) {
  const { shape, classes, alphas_cumprod: alphas, methods } = sampler;
  const size = shape.reduce((product, side) => product * side);
  const draw = sampling.normals(seed), noise = draw(size);
  const picture = drawing && !hole;
  const predict = (x, time) => guided(x, time, { session, shape, classes: classes.length, label, gamma });
  if (!methods[method].rule) {
    const times = sampler.times[steps].slice(start);
    const begun = picture ? sampling.path(drawing, noise, times[0]) : noise;
    const options = hole ? { after: sampling.pasteAlong(drawing, hole, noise) } : {};
    yield* sampling.integrate(begun, times, (x, i) => predict(x, times[i]), options);
  } else {
    const timesteps = sampler.timesteps[steps].slice(start);
    const levels = [...timesteps, 0].map((t) => alphas[t]);
    const begun = picture ? sampling.forward(drawing, levels[0], noise) : noise;
    const [rule, option] = methods[method].rule;
    const options = { rule: sampling[rule](option), ...(hole && { after: sampling.paste(drawing, hole) }) };
    const estimate = async (x, i) => ({ epsilon: await predict(x, timesteps[i] / (alphas.length - 1)) });
    yield* sampling.reverse(begun, levels, estimate, draw, options);
  }
}

/* Without a class, or where γ leaves one of the two estimates out, the network answers once; else twice, as the two
   rows of one batch: without the class, and with it. */
async function guided(x, time, { session, shape, classes, label, gamma }) {
  const rows = label === null || gamma === 0 ? [null] : gamma === 1 ? [label] : [null, label];
  const tensor = (values, dims) => new ort.Tensor("float32", values, [rows.length, ...dims]);
  const batch = new Float32Array(rows.length * x.length), oneHot = new Float32Array(rows.length * classes);
  rows.forEach((row, k) => {
    batch.set(x, k * x.length);
    if (row !== null) oneHot[k * classes + row] = 1;
  });
  const { answer } = await session.run({
    x: tensor(batch, shape),
    time: tensor(new Float32Array(rows.length).fill(time), []),
    one_hot: tensor(oneHot, [classes]),
  });
  const row = (k) => answer.data.subarray(k * x.length, (k + 1) * x.length);
  return rows.length === 1 ? row(0) : sampling.extrapolate(row(0), row(1), gamma);
}
