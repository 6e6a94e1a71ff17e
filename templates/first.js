// Runs before the first paint: the reader's own choice of theme, and the fonts of the text.
"use strict";
document.documentElement.classList.add("js");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage may be forbidden; the system's theme stands.
}
if (location.protocol === "file:") {
  // A page opened as a file may not preload its fonts; they are at hand, so it waits for them.
  for (const face of document.fonts) face.display = "block";
} else {
  for (const href of document.currentScript.dataset.fonts.split(" ")) {
    const link = Object.assign(document.createElement("link"), { rel: "preload", as: "font", type: "font/woff2", href });
    link.crossOrigin = "";
    document.head.append(link);
  }
}
