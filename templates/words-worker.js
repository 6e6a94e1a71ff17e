// Computes for words.js, apart from the page, so that the page stays at hand. Requests are answered in order; a picture
// is given up for a later one, or for none.
import { model } from "./words-model.js";

const GIVEN_UP = Symbol("given up");
let answered, wanted, known = null, queue = Promise.resolve();

addEventListener("message", ({ data }) => {
  wanted = data.run;
  if (data.mode) queue = queue.then(() => answer(data)).catch((error) => error === GIVEN_UP || failed(error));
});
const failed = (error) => postMessage({ run: answered, error: String(error?.message ?? error) });

async function pause() {
  await new Promise((resolve) => setTimeout(resolve)); // a later request is heard here
  if (wanted !== answered) throw GIVEN_UP;
}

async function answer({ run, files, ...asked }) {
  answered = run;
  await pause();
  known ??= await model(files, { report: (what) => postMessage({ run: answered, ...what }), pause });
  for await (const state of known.draw(asked)) postMessage({ run, ...state });
}
