// The closed form over a bank of pictures: what noisebook/models/local_posterior.py and bank.py are in Python.
//
//   resized(plane, from, to)            a square plane, smaller, with antialiasing
//   placed(source, row, table, ground)  a picture of a bank before its style's treatment
//   posteriorMean(y, sigma, window, bank)
//     bank: { pictures: Float32Array of N · 3 · size², norms: Float64Array(N), count: N }; every picture as likely
//     window: [cell, reach], or [] for the whole picture; see generators/_words.py
//
// Pictures are planes of red, green and blue: [-1, 1] in a bank, [0, 1] while they are made.

const CHANNELS = 3;

/* Bilinear with antialiasing, as torch.nn.functional.interpolate has it: a triangle as wide as the reduction. */
const taps = new Map();
function tapsOf(from, to) {
  const key = `${from}/${to}`;
  if (!taps.has(key)) {
    const scale = from / to, support = Math.max(1, scale);
    taps.set(key, Array.from({ length: to }, (_, i) => {
      const centre = scale * (i + 0.5);
      const first = Math.max(0, Math.trunc(centre - support + 0.5));
      const last = Math.min(from, Math.trunc(centre + support + 0.5));
      const weights = Array.from({ length: last - first }, (_, j) => Math.max(0, 1 - Math.abs((j + first - centre + 0.5) / support)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      return { first, weights: weights.map((weight) => weight / total) };
    }));
  }
  return taps.get(key);
}

export function resized(plane, from, to) {
  if (from === to) return plane;
  const wanted = tapsOf(from, to), across = new Float32Array(from * to), out = new Float32Array(to * to);
  for (let y = 0; y < from; y++) {
    for (let x = 0; x < to; x++) {
      const { first, weights } = wanted[x];
      let sum = 0;
      for (let j = 0; j < weights.length; j++) sum += weights[j] * plane[y * from + first + j];
      across[y * to + x] = sum;
    }
  }
  for (let y = 0; y < to; y++) {
    const { first, weights } = wanted[y];
    for (let j = 0; j < weights.length; j++) {
      const row = (first + j) * to, weight = weights[j];
      for (let x = 0; x < to; x++) out[y * to + x] += weight * across[row + x];
    }
  }
  return out;
}

/* A source { size, planes: red, green and blue times alpha, and alpha } where a row of a table puts it. Behind a piece
   stands its backdrop; before one that is lit, its shadow. */
const REACH = 2, SHADE = 0.35;
export function placed(source, row, scene, ground, size) {
  const [side, left, top, mirror] = row, gains = row.slice(5);
  // A scene fills its frame: what would leave a gap is moved back.
  const within = (value) => (scene ? Math.min(0, Math.max(size - side, value)) : value);
  const x0 = within(left), y0 = within(top);
  source.sides ??= new Map();
  if (!source.sides.has(side)) source.sides.set(side, source.planes.map((plane) => resized(plane, source.size, side)));
  const planes = source.sides.get(side), area = size * size;
  const out = new Float32Array(CHANNELS * area), alpha = new Float32Array(area);
  const from = new Int32Array(area).fill(-1); // of the small source, for each place
  for (let y = Math.max(0, y0); y < Math.min(size, y0 + side); y++) {
    for (let x = Math.max(0, x0); x < Math.min(size, x0 + side); x++) {
      from[y * size + x] = (y - y0) * side + (mirror ? side - 1 - x + x0 : x - x0);
    }
  }
  for (let i = 0; i < area; i++) if (from[i] >= 0) alpha[i] = planes[3][from[i]];
  const dark = ground?.lit ? shadow(alpha, size) : null;
  for (let c = 0, at = 0; c < CHANNELS; c++) {
    const gain = gains[c] ?? 1;
    for (let i = 0; i < area; i++, at++) {
      let value = ground ? ground.planes[at] : 1;
      if (dark) value *= 1 - SHADE * dark[i];
      if (from[i] >= 0) value = value * (1 - alpha[i]) + planes[c][from[i]];
      out[at] = gain * value;
    }
  }
  return out;
}

/* The mean of alpha around each place, moved down and to the right; what leaves on one side comes in on the other. */
function shadow(alpha, size) {
  const out = new Float32Array(size * size), area = (2 * REACH + 1) ** 2;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let sum = 0;
      for (let v = Math.max(0, y - REACH); v <= Math.min(size - 1, y + REACH); v++) {
        for (let u = Math.max(0, x - REACH); u <= Math.min(size - 1, x + REACH); u++) sum += alpha[v * size + u];
      }
      out[((y + REACH) % size) * size + ((x + (REACH >> 1)) % size)] = sum / area;
    }
  }
  return out;
}

/* x̂_0 of y = x_t / √ᾱ. */
export function posteriorMean(y, sigma, window, bank) {
  return window.length ? localMean(y, sigma, window, bank) : wholeMean(y, sigma, bank);
}

function softmax(logits) {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((value) => Math.exp(value - most));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((value) => value / total);
}

function wholeMean(y, sigma, { pictures, norms, count }) {
  const length = y.length, logits = new Float64Array(count), mean = new Float32Array(length);
  for (let n = 0; n < count; n++) {
    let dot = 0;
    for (let i = 0, at = n * length; i < length; i++, at++) dot += y[i] * pictures[at];
    logits[n] = (dot - norms[n] / 2) / sigma ** 2;
  }
  softmax(logits).forEach((weight, n) => {
    if (weight < 1e-12) return;
    for (let i = 0, at = n * length; i < length; i++, at++) mean[i] += weight * pictures[at];
  });
  return mean;
}

/* Weights of pictures that no place gives more than this are left out. */
const LEAST = 1e-4;

function localMean(y, sigma, [cell, reach], { pictures, count }) {
  const length = y.length, area = length / CHANNELS, size = Math.sqrt(area), wide = size / cell, cells = wide * wide;
  const logits = new Float64Array(count * cells), most = new Float64Array(cells).fill(-Infinity);
  const square = new Float64Array(cells);
  for (let n = 0; n < count; n++) {
    square.fill(0);
    for (let c = 0, i = 0, at = n * length; c < CHANNELS; c++) {
      for (let v = 0; v < size; v++) {
        for (let u = 0, k = Math.floor(v / cell) * wide; u < wide; u++, k++) {
          let sum = 0;
          for (const end = i + cell; i < end; i++, at++) {
            const difference = pictures[at] - y[i];
            sum += difference * difference;
          }
          square[k] += sum;
        }
      }
    }
    const place = logits.subarray(n * cells, (n + 1) * cells);
    boxSum(square, wide, reach, place);
    for (let k = 0; k < cells; k++) {
      place[k] /= -2 * sigma ** 2;
      if (place[k] > most[k]) most[k] = place[k];
    }
  }
  const totals = new Float64Array(cells), largest = new Float64Array(count);
  for (let n = 0; n < count; n++) for (let k = 0, at = n * cells; k < cells; k++, at++) totals[k] += logits[at] = Math.exp(logits[at] - most[k]);
  for (let n = 0; n < count; n++) for (let k = 0, at = n * cells; k < cells; k++, at++) largest[n] = Math.max(largest[n], (logits[at] /= totals[k]));
  totals.fill(0);
  for (let n = 0; n < count; n++) if (largest[n] > LEAST) for (let k = 0, at = n * cells; k < cells; k++, at++) totals[k] += logits[at];
  const mean = new Float32Array(length), weights = new Float32Array(area);
  for (let n = 0; n < count; n++) {
    if (!(largest[n] > LEAST)) continue;
    const coarse = logits.subarray(n * cells, (n + 1) * cells);
    for (let k = 0; k < cells; k++) coarse[k] /= totals[k];
    enlarged(coarse, wide, size, weights);
    for (let c = 0, i = 0, at = n * length; c < CHANNELS; c++) for (let k = 0; k < area; k++, i++, at++) mean[i] += weights[k] * pictures[at];
  }
  return mean;
}

/* Sums over windows of 2 reach + 1 cells, clipped at the edges, from running sums. */
let running = new Float64Array(0);
function boxSum(values, wide, reach, out) {
  if (running.length < wide + 1) running = new Float64Array(wide + 1);
  const pass = (from, to, step, start) => {
    for (let i = 0; i < wide; i++) running[i + 1] = running[i] + from[start + i * step];
    for (let i = 0; i < wide; i++) to[start + i * step] = running[Math.min(wide, i + reach + 1)] - running[Math.max(0, i - reach)];
  };
  for (let row = 0; row < wide; row++) pass(values, out, 1, row * wide);
  for (let column = 0; column < wide; column++) pass(out, out, wide, column);
}

/* Bilinear, cells' middles where they are. */
function enlarged(coarse, wide, size, out) {
  if (wide === size) return out.set(coarse);
  const scale = wide / size;
  for (let v = 0; v < size; v++) {
    const y = Math.max(0, (v + 0.5) * scale - 0.5), top = Math.floor(y), below = Math.min(wide - 1, top + 1), b = y - top;
    for (let u = 0; u < size; u++) {
      const x = Math.max(0, (u + 0.5) * scale - 0.5), left = Math.floor(x), right = Math.min(wide - 1, left + 1), a = x - left;
      const above = coarse[top * wide + left] * (1 - a) + coarse[top * wide + right] * a;
      out[v * size + u] = above * (1 - b) + (coarse[below * wide + left] * (1 - a) + coarse[below * wide + right] * a) * b;
    }
  }
}
