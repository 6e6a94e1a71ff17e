// Figures whose network the reader's own browser runs: live-page.js asks and shows, live-worker.js computes. This
// says why they cannot, where they cannot.
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

for (const box of all(".live")) {
  const place = box.querySelector(".place");
  const why = hindrance();
  if (why) place.replaceWith(make("p", {}, ...why));
  else import(new URL(box.dataset.page, document.baseURI).href).then(({ live }) => live(box, place));
}
