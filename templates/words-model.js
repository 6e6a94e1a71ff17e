// Pictures from words in a page: the banks of subjects, and the process over them. The data are those of
// generators/_words.py; in Python the same is noisebook/models/{bank,exact}.py and noisebook/diffusion/estimates.py.
//
//   const { told, bank, draw } = await model({ words, runtime, wasm }, { report, pause })
//     absolute addresses of the data, and of ONNX Runtime Web, which is fetched for treated styles alone;
//     report({ bytes } | { making }): what has arrived, how much of the banks is made (0 … 1);
//     pause(): awaited between two short pieces of work; what it throws ends the work
//   await bank(name, style)                 what posteriorMean takes
//   for await (const { step, of, x, clean } of draw({ mode, subjects, seed, steps, view, sketch, start })) …
//     mode: picture, anagram, hybrid (far, near) or sketch; subjects: [{ name, style }, …]
import { ancestral, forward, normals, reverse } from "./sampling.js";
import { placed, posteriorMean, resized } from "./local-posterior.js";

const LARGEST = 8; // banks that are kept, each of some 12 MB

const whole = async (stream) => new Uint8Array(await new Response(stream).arrayBuffer());

/* A picture file's pixels, not multiplied by alpha. */
async function pixels(data) {
  const bitmap = await createImageBitmap(new Blob([data]), { premultiplyAlpha: "none", colorSpaceConversion: "none" });
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

/* Estimates of the noise, as in noisebook/diffusion/estimates.py. */
function noise(x, alpha, window, bank) {
  const root = Math.sqrt(alpha), clean = posteriorMean(x.map((value) => value / root), Math.sqrt((1 - alpha) / alpha), window, bank);
  return x.map((value, i) => (value - root * clean[i]) / Math.sqrt(1 - alpha));
}

function through(places, x, back = false) {
  const out = new Float32Array(x.length), area = places.length;
  for (let c = 0; c < x.length; c += area) places.forEach((from, to) => (back ? (out[c + from] = x[c + to]) : (out[c + to] = x[c + from])));
  return out;
}

function blurred(x, size, taps) {
  const reach = taps.length >> 1, mirrored = (i) => (i < 0 ? -i : i >= size ? 2 * size - 2 - i : i);
  let from = x;
  for (const [along, across] of [[1, size], [size, 1]]) {
    const out = new Float32Array(x.length);
    for (let plane = 0; plane < x.length; plane += size * size) {
      for (let line = 0; line < size; line++) {
        for (let i = 0; i < size; i++) {
          let sum = 0;
          for (let j = 0; j < taps.length; j++) sum += taps[j] * from[plane + line * across + mirrored(i + j - reach) * along];
          out[plane + line * across + i * along] = sum;
        }
      }
    }
    from = out;
  }
  return from;
}

export async function model(files, { report = () => {}, pause = async () => {} } = {}) {
  const kept = new Map();
  let ort = null;

  /* What was fetched or made once is kept; what failed is not. */
  function once(key, make) {
    const found = kept.get(key) ?? make();
    kept.delete(key);
    kept.set(key, found);
    Promise.resolve(found).catch(() => kept.delete(key));
    const banks = [...kept.keys()].filter((each) => each.startsWith("bank "));
    banks.slice(0, -LARGEST).forEach((each) => kept.delete(each));
    return found;
  }

  async function fetched(address) {
    const answer = await fetch(address);
    if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
    const count = (chunk, controller) => (report({ bytes: chunk.byteLength }), controller.enqueue(chunk));
    return answer.body.pipeThrough(new TransformStream({ transform: count }));
  }
  const asset = (name) => once(`file ${name}`, async () => whole(await fetched(new URL(name, files.words))));

  async function runtime() {
    const [script, binary] = await Promise.all([
      import(files.runtime),
      fetched(files.wasm).then((stream) => whole(stream.pipeThrough(new DecompressionStream("gzip")))),
    ]);
    ort = script;
    // More threads would need shared memory, which a page has only if its server sends headers for it.
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = binary;
  }

  const session = (treatment) => once(`session ${treatment}`, async () => {
    await once("runtime", runtime);
    return ort.InferenceSession.create(await asset(`${told.treatment[treatment]}.onnx`), { executionProviders: ["wasm"] });
  });

  /* Colours times alpha, and alpha, at twice the size of what is drawn: sharp enough. */
  async function source(data) {
    const { width: side, data: bytes } = await pixels(data);
    const planes = [0, 1, 2, 3].map((c) => {
      const plane = new Float32Array(side * side);
      for (let i = 0; i < plane.length; i++) plane[i] = (bytes[4 * i + c] / 255) * (c < 3 ? bytes[4 * i + 3] / 255 : 1);
      return resized(plane, side, 2 * told.size);
    });
    return { size: 2 * told.size, planes };
  }

  const backdrops = (kind) => once(`backdrop ${kind}`, async () => {
    const { width: size, height, data } = await pixels(await asset(`${told.backdrop[kind]}.png`));
    return Array.from({ length: height / size }, (_, seed) => {
      const planes = new Float32Array(3 * size * size);
      for (let c = 0; c < 3; c++) for (let i = 0; i < size * size; i++) planes[c * size * size + i] = data[4 * (seed * size * size + i) + c] / 255;
      return { planes, lit: kind === "soft" || kind === "dark" };
    });
  });

  /* The pictures that stand for a subject in a style: noisebook/models/bank.py, its placements from tables. */
  const bank = (name, style, tell = () => {}) => once(`bank ${style} ${name}`, async () => {
    const subject = told.subjects.find((each) => each.name === name);
    if (!subject || !(style in subject.shares)) throw new Error(`nothing is known of ${name} as ${style}`);
    const data = await asset(`${subject.bundle}.bin`);
    const counts = told.patterns[subject.shares[style]];
    const length = 3 * told.size ** 2, count = counts.reduce((a, b) => a + b);
    const pictures = new Float32Array(count * length);
    const rows = new Map(); // by treatment
    let at = 0, n = 0;
    for (const [k, bytes] of subject.sizes.entries()) {
      const file = data.subarray(at, (at += bytes));
      if (!counts[k]) continue;
      const table = told.tables[told.place[style][subject.kinds[k]]];
      const kind = table.scene ? "white" : (subject.grounds[style] ?? table.ground);
      const grounds = kind === "white" ? null : await backdrops(kind);
      const from = await source(file);
      for (let i = 0; i < counts[k]; i++, n++) {
        const row = table.rows[n];
        pictures.set(placed(from, row, table.scene, grounds?.[row[4]], told.size), n * length);
        rows.set(table.treatment, [...(rows.get(table.treatment) ?? []), n]);
        if (n % 16 === 15) tell(n / count / 2), await pause();
      }
    }
    let done = 0;
    for (const [treatment, some] of rows) {
      if (treatment in told.treatment) await treat(pictures, length, treatment, some, (part) => tell(0.5 + (done + part) / count / 2));
      done += some.length;
    }
    const norms = new Float64Array(count);
    for (let i = 0; i < pictures.length; i++) {
      pictures[i] = Math.min(1, Math.max(0, pictures[i])) * 2 - 1;
      norms[Math.floor(i / length)] += pictures[i] ** 2;
    }
    return { pictures, norms, count };
  });

  async function treat(pictures, length, treatment, rows, tell) {
    const network = await session(treatment);
    for (let start = 0; start < rows.length; start += told.batch) {
      const some = rows.slice(start, start + told.batch), x = new Float32Array(told.batch * length);
      some.forEach((n, k) => x.set(pictures.subarray(n * length, (n + 1) * length), k * length));
      const { y } = await network.run({ x: new ort.Tensor("float32", x, [told.batch, 3, told.size, told.size]) });
      some.forEach((n, k) => pictures.set(y.data.subarray(k * length, (k + 1) * length), n * length));
      tell(start + some.length);
      await pause();
    }
  }

  const ESTIMATES = {
    picture: ([one]) => one,
    sketch: ([one]) => one,
    anagram: ([upright, turned], { view }) => (x, i) => {
      const places = told.views[view], first = upright(x, i), second = through(places, turned(through(places, x), i), true);
      return first.map((value, k) => (value + second[k]) / 2);
    },
    hybrid: ([far, near]) => (x, i) => {
      const low = far(x, i), high = near(x, i), difference = low.map((value, k) => value - high[k]);
      return blurred(difference, told.size, told.lowpass).map((value, k) => value + high[k]);
    },
  };

  /* noisebook/diffusion/thresholding.py. */
  function dynamic(clean) {
    const sorted = clean.map(Math.abs).sort(), at = told.threshold.ratio * (sorted.length - 1), below = Math.floor(at);
    const quantile = sorted[below] + (at - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
    const s = Math.min(told.threshold.largest, Math.max(1, quantile));
    return clean.map((value) => Math.min(s, Math.max(-s, value)) / s);
  }

  async function* draw({ mode, subjects, seed, steps, view, sketch, start = 0 }) {
    await pause();
    const banks = [];
    for (const [k, { name, style }] of subjects.entries()) {
      const tell = (part) => report({ making: (k + part) / subjects.length });
      tell(0);
      banks.push(await bank(name, style, tell));
    }
    const process = told.processes[steps], first = mode === "sketch" ? start : 0;
    const alphas = process.alphas.slice(first), windows = process.windows.slice(first);
    const each = banks.map((one) => (x, i) => noise(x, alphas[i], windows[i], one));
    const estimate = ESTIMATES[mode](each, { view });
    const normal = normals(seed), begin = normal(3 * told.size ** 2);
    const x = mode === "sketch" ? forward(sketch, alphas[0], begin) : begin;
    const states = reverse(x, alphas, (x, i) => ({ epsilon: estimate(x, i) }), normal, { rule: ancestral("small"), threshold: dynamic });
    for await (const { step, x, clean } of states) {
      yield { step, of: windows.length, x, clean };
      await pause();
    }
  }

  const told = JSON.parse(new TextDecoder().decode(await whole(await fetched(files.words))));
  return { told, bank, draw };
}
