// Figures whose network the reader's own browser runs: live-page.js asks and shows, live-worker.js computes.
"use strict";

for (const box of all(".live[data-page]")) {
  const place = box.querySelector(".place");
  const why = obstacle();
  if (why) place.replaceWith(why);
  else import(new URL(box.dataset.page, document.baseURI).href).then(({ live }) => live(box, place));
}
