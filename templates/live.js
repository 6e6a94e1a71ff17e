// Figures for which the reader's own browser computes: another script asks and shows, and a worker computes.
"use strict";

for (const box of all(".live[data-page]")) {
  const why = obstacle();
  if (why) box.replaceChildren(why);
  else import(new URL(box.dataset.page, document.baseURI).href).then(({ live }) => live(box));
}
