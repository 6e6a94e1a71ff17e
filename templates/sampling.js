// The reverse process for scripts that draw: what noisebook/diffusion/ is in Python, on Float32Array of any shape.
//
// Nothing here knows a network, a schedule or a page: ᾱ and times come from Python, with the figure, and a network is
// an async function. For the same noise the pictures are Python's, up to rounding.
//
//   draw = normals(seed)                    draw(n): the next n numbers of standard normal noise
//   forward(clean, alpha, noise)            a picture with the noise of one timestep
//   path(clean, noise, t)                   the same for a flow
//   extrapolate(reference, conditional, γ)  guidance
//   for await (const { step, x, clean } of reverse(x, alphas, estimate, draw, { rule, threshold, after })) …
//     alphas: ᾱ of each timestep, and 1 after the last; estimate(x, i): a promise of { epsilon, v };
//     rule: ancestral("learned" | "small" | "large") or ddim(eta); threshold(clean); after(x, alpha, draw)
//   for await (const { step, x, clean } of integrate(x, times, velocity, { after })) …
//     times: rising to 1; velocity(x, i): a promise of dx/dt; after(x, t)
//   paste(original, hole), pasteAlong(original, hole, noise)
//     inpainting, as `after` of the one and of the other: outside the hole the original comes back
//
// `step` counts from 1. A loop that is left draws no more. Noise is drawn in Python's order: that of the start by the
// caller, then after each step the rule's and what `after` asks for.

const map = (x, f) => Float32Array.from(x, (value, i) => f(value, i));

/* mulberry32 and the Box-Muller transform: noisebook/networks/mnist/portable.py. */
export function normals(seed) {
  let state = seed >>> 0, spare = null;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
  const next = () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - uniform())); // 1 - u lies in (0, 1]
    const angle = 2 * Math.PI * uniform();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
  return (count) => Float32Array.from({ length: count }, next);
}

/* √ᾱ x_0 + √(1-ᾱ) ε, and back: noisebook/diffusion/schedules.py. */
export const forward = (clean, alpha, noise) => map(clean, (value, i) => Math.sqrt(alpha) * value + Math.sqrt(1 - alpha) * noise[i]);
const cleanOf = (x, epsilon, alpha) => map(x, (value, i) => (value - Math.sqrt(1 - alpha) * epsilon[i]) / Math.sqrt(alpha));

/* (1-t) x_0 + t x_1: noisebook/diffusion/flow.py. */
export const path = (clean, noise, t) => map(clean, (value, i) => (1 - t) * noise[i] + t * value);

/* ε_ref + γ (ε_c - ε_ref): noisebook/diffusion/guidance.py. */
export const extrapolate = (reference, conditional, gamma) => map(reference, (value, i) => value + gamma * (conditional[i] - value));

/* Step rules: noisebook/diffusion/posterior.py. Each gives x_s of x_t, x_0, v, alphaT, alphaS and draw. */
function betas(alphaT, alphaS) {
  const beta = 1 - alphaT / alphaS;
  return [beta, (beta * (1 - alphaS)) / (1 - alphaT)];
}

export function ancestral(variance = "learned") {
  return ({ x, clean, v, alphaT, alphaS, draw }) => {
    if (alphaS >= 1) return clean;
    const [large, small] = betas(alphaT, alphaS);
    const ofClean = (Math.sqrt(alphaS) * large) / (1 - alphaT);
    const ofX = (Math.sqrt(1 - large) * (1 - alphaS)) / (1 - alphaT);
    const learned = variance === "learned" && v;
    const fixed = Math.sqrt(variance === "large" ? large : small);
    const sigma = (i) => (learned ? Math.exp(0.25 * ((v[i] + 1) * Math.log(large) + (1 - v[i]) * Math.log(small))) : fixed);
    const noise = draw(x.length);
    return map(x, (value, i) => ofClean * clean[i] + ofX * value + sigma(i) * noise[i]);
  };
}

export function ddim(eta = 0) {
  return ({ x, clean, alphaT, alphaS, draw }) => {
    if (alphaS >= 1) return clean;
    const variance = eta ** 2 * betas(alphaT, alphaS)[1];
    const kept = Math.sqrt((1 - alphaS - variance) / (1 - alphaS));
    const epsilon = map(x, (value, i) => (kept * (value - Math.sqrt(alphaT) * clean[i])) / Math.sqrt(1 - alphaT));
    const next = forward(clean, alphaS, epsilon);
    const noise = variance ? draw(x.length) : null;
    return noise ? map(next, (value, i) => value + Math.sqrt(variance) * noise[i]) : next;
  };
}

/* noisebook/diffusion/sampling.py. */
export async function* reverse(x, alphas, estimate, draw, { rule = ancestral(), threshold = (clean) => clean, after = (x) => x } = {}) {
  for (let i = 0; i + 1 < alphas.length; i++) {
    const [alphaT, alphaS] = [alphas[i], alphas[i + 1]];
    const { epsilon, v = null } = await estimate(x, i);
    const clean = threshold(cleanOf(x, epsilon, alphaT));
    x = after(rule({ x, clean, v, alphaT, alphaS, draw }), alphaS, draw);
    yield { step: i + 1, x, clean };
  }
}

/* Euler's steps: noisebook/diffusion/flow.py. */
export async function* integrate(x, times, velocity, { after = (x) => x } = {}) {
  for (let i = 0; i + 1 < times.length; i++) {
    const [t, s] = [times[i], times[i + 1]];
    const slope = await velocity(x, i);
    const clean = map(x, (value, j) => value + (1 - t) * slope[j]);
    x = after(map(x, (value, j) => value + (s - t) * slope[j]), s);
    yield { step: i + 1, x, clean };
  }
}

/* Inpainting: `hole` is 1 where the process may draw. What is known comes back with the noise of the level reached:
   fresh noise, as in noisebook/diffusion/sampling.py; in a flow, the noise that its path began with. */
export function paste(original, hole) {
  return (x, alpha, draw) => {
    const known = alpha >= 1 ? original : forward(original, alpha, draw(x.length));
    return map(x, (value, i) => (hole[i] > 0.5 ? value : known[i]));
  };
}

export function pasteAlong(original, hole, noise) {
  return (x, t) => {
    const known = path(original, noise, t);
    return map(x, (value, i) => (hole[i] > 0.5 ? value : known[i]));
  };
}
