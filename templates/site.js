// Everything here improves a page that already makes sense without it.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const still = matchMedia("(prefers-reduced-motion: reduce)");

// Theme

function themes() {
  const button = document.querySelector("[data-theme-switch]");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const tell = () => button.setAttribute("aria-label", dark() ? "Light theme" : "Dark theme");
  button.hidden = false;
  tell();
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    tell();
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // Remembered for this page only.
    }
  });
}

// Search: the index is a script, because a page opened as a file may not fetch

function search() {
  const button = document.querySelector("[data-open-search]");
  const input = make("input", { type: "search", placeholder: "Search text and captions", autocomplete: "off" });
  input.setAttribute("aria-label", "Search text and captions");
  const results = make("ol");
  const note = make("p", { textContent: "Type a word or two." });
  note.setAttribute("role", "status");
  const dialog = make("dialog", { className: "search" }, input, results, note);
  dialog.setAttribute("aria-label", "Search");
  document.body.append(dialog);
  const load = () =>
    new Promise((resolve, reject) => {
      if (window.searchIndex) return resolve();
      const script = make("script", { src: document.body.dataset.search, onload: resolve, onerror: reject });
      document.head.append(script);
    });
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const snippet = (text, words) => {
    const folded = fold(text);
    const at = Math.max(0, Math.min(...words.map((word) => folded.indexOf(word)).filter((place) => place >= 0), text.length) - 50);
    const piece = (at ? "…" : "") + text.slice(at, at + 180) + (at + 180 < text.length ? "…" : "");
    const parts = [];
    let rest = piece;
    while (rest) {
      const hits = words.map((word) => [fold(rest).indexOf(word), word.length]).filter(([place]) => place >= 0);
      if (!hits.length) break;
      const [place, length] = hits.sort((a, b) => a[0] - b[0])[0];
      parts.push(rest.slice(0, place), make("mark", { textContent: rest.slice(place, place + length) }));
      rest = rest.slice(place + length);
    }
    return [...parts, rest];
  };
  const find = () => {
    const words = fold(input.value).split(/\s+/).filter(Boolean);
    const found = [];
    if (words.length && window.searchIndex) {
      for (const [title, href, text] of window.searchIndex) {
        const head = fold(title), body = fold(text);
        if (!words.every((word) => head.includes(word) || body.includes(word))) continue;
        const score = words.reduce((sum, word) => sum + (head.includes(word) ? 10 : 0) + Math.min(5, body.split(word).length - 1), 0);
        found.push([score, title, href, text]);
      }
    }
    found.sort((a, b) => b[0] - a[0]);
    results.replaceChildren(
      ...found.slice(0, 30).map(([, title, href, text]) =>
        make("li", {}, make("a", { href }, make("b", { textContent: title }), make("span", {}, ...snippet(text, words)))),
      ),
    );
    note.textContent = !words.length ? "Type a word or two." : found.length ? `${found.length} found` : "Nothing found.";
  };
  const open = () => {
    dialog.showModal();
    input.select();
    load().then(find, () => (note.textContent = "The search index could not be loaded."));
  };
  button.hidden = false;
  button.addEventListener("click", open);
  input.addEventListener("input", find);
  results.addEventListener("click", (event) => event.target.closest("a") && dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    const stops = [input, ...all("a", results)];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      stops[Math.max(0, Math.min(stops.length - 1, stops.indexOf(document.activeElement) + step))].focus();
    } else if (event.key === "Enter" && document.activeElement === input) all("a", results)[0]?.click();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, dialog");
    if (!typing && (event.key === "/" || (event.key === "k" && (event.ctrlKey || event.metaKey)))) {
      event.preventDefault();
      open();
    }
  });
}

// Lightbox: the pictures of one figure, with the arrow keys

function lightbox() {
  const image = make("img", { alt: "" });
  const words = make("p");
  words.setAttribute("role", "status");
  const button = (text, label, act) => {
    const element = make("button", { type: "button", textContent: text, onclick: act });
    element.setAttribute("aria-label", label);
    return element;
  };
  const show = make("div", { className: "show" }, image);
  const dialog = make("dialog", { className: "lightbox" });
  dialog.setAttribute("aria-label", "Picture");
  let group = [], at = 0;
  const fit = () => {
    const width = show.clientWidth - 32, height = show.clientHeight - 32;
    const inside = Math.min(width / image.naturalWidth, height / image.naturalHeight);
    const small = Math.max(image.naturalWidth, image.naturalHeight) <= 128;
    image.classList.toggle("pixelated", small || inside >= 2);
    const factor = small ? Math.max(1, Math.floor(inside)) : Math.min(inside, image.naturalWidth > 480 ? 1 : 2.5);
    const vector = image.classList.contains("vector");
    image.style.width = vector ? "clamp(48rem, 100%, 90rem)" : `${Math.round(image.naturalWidth * factor)}px`;
  };
  const go = (to) => {
    at = (to + group.length) % group.length;
    const link = group[at], source = link.querySelector("img");
    const label = link.closest(".cell")?.querySelector(".label")?.textContent.replace(/\s+/g, " ").trim() ?? "";
    image.classList.toggle("vector", source.classList.contains("vector"));
    image.src = link.href;
    image.alt = source.alt;
    words.textContent = group.length > 1 ? `${label} (${at + 1} of ${group.length})` : label;
    if (image.complete) fit();
  };
  image.addEventListener("load", fit);
  addEventListener("resize", () => dialog.open && fit());
  const back = button("←", "Previous picture", () => go(at - 1));
  const forth = button("→", "Next picture", () => go(at + 1));
  dialog.append(show, make("footer", {}, back, words, forth, button("✕", "Close", () => dialog.close())));
  document.body.append(dialog);
  show.addEventListener("click", (event) => event.target === show && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") go(at - 1);
    if (event.key === "ArrowRight") go(at + 1);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.picture");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    group = all("a.picture", link.closest("figure")).filter((each) => each.offsetParent || each === link);
    back.hidden = forth.hidden = group.length < 2;
    dialog.showModal();
    go(group.indexOf(link));
    forth.hidden ? dialog.querySelector("button:last-child").focus() : forth.focus();
  });
}

// Figures that a reader can move

const range = (label, max, value, step = 1) => {
  const input = make("input", { type: "range", min: 0, max, step });
  input.value = value;
  input.setAttribute("aria-label", label);
  return input;
};
const label = (cell) => cell.querySelector(".name").textContent;
const picture = (cell) => {
  const image = cell.querySelector("img").cloneNode();
  image.loading = "eager";
  return image;
};

/* Two pictures on top of each other, with a handle between them. Cells are taken two by two. */
function compare(figure) {
  const list = figure.querySelector(".cells");
  const cells = all(".cell", list);
  for (let i = 0; i + 1 < cells.length; i += 2) {
    const [below, above] = [cells[i + 1], cells[i]];
    const over = make("div", { className: "over" }, picture(above));
    const handle = make("div", { className: "handle" });
    const input = range(`Compare: ${label(above)} on the left, ${label(below)} on the right`, 100, 50);
    const move = () => {
      over.style.clipPath = `inset(0 ${100 - input.value}% 0 0)`;
      handle.style.left = `${input.value}%`;
    };
    input.addEventListener("input", move);
    move();
    const stage = make("div", { className: "stage" }, picture(below), over, handle, input);
    const sides = make("div", { className: "label sides" }, make("span", { textContent: `← ${label(above)}` }), make("span", { textContent: `${label(below)} →` }));
    const item = make("li", { className: "cell" }, stage, sides);
    above.replaceWith(item);
    below.remove();
  }
  list.classList.add("enhanced");
}

/* One picture of many, chosen by a slider; the plain figure stays behind a button. */
function scrubber(figure) {
  const list = figure.querySelector(".cells");
  const cells = all(".cell", list);
  if (cells.length < 2) return;
  const pictures = cells.map(picture);
  const place = make("div", { className: "stage" });
  const input = range("State of the reverse process", cells.length - 1, cells.length - 1);
  const output = make("output");
  const move = () => {
    place.replaceChildren(pictures[input.value]);
    output.textContent = label(cells[input.value]);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  const play = make("button", { type: "button", textContent: "Play" });
  let timer = 0;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (+input.value === cells.length - 1) input.value = 0;
    play.textContent = "Stop";
    move();
    timer = setInterval(() => {
      input.value = +input.value + 1;
      move();
      if (+input.value === cells.length - 1) stop();
    }, 350);
  });
  input.addEventListener("input", () => (stop(), move()));
  move();
  const every = make("button", { type: "button", textContent: "Show all" });
  const control = make("div", { className: "control" }, play, input, output, every);
  every.addEventListener("click", () => {
    list.hidden = !list.hidden;
    place.hidden = !list.hidden;
    every.textContent = list.hidden ? "Show all" : "Show one";
  });
  list.hidden = true;
  list.before(make("div", { className: "stagebox" }, place, control));
}

/* A picture that turns under the reader's hand: an anagram. */
function turn(figure) {
  for (const link of all("a.picture", figure)) {
    const image = link.querySelector("img");
    image.classList.add("turn");
    const input = range("Turn the picture, in degrees", 180, 0);
    input.addEventListener("input", () => (image.style.rotate = `${input.value}deg`));
    const flip = make("button", { type: "button", textContent: "Turn over" });
    flip.addEventListener("click", () => {
      const target = +input.value < 90 ? 180 : 0;
      const step = still.matches ? 180 : 4;
      const go = () => {
        input.value = +input.value + Math.sign(target - input.value) * Math.min(step, Math.abs(target - input.value));
        input.dispatchEvent(new Event("input"));
        if (+input.value !== target) requestAnimationFrame(go);
      };
      go();
    });
    link.after(make("div", { className: "control" }, input, flip));
  }
}

/* A picture seen from nearer or farther: a hybrid. */
function distance(figure) {
  for (const link of all("a.picture", figure)) {
    const image = link.querySelector("img");
    const box = make("div", { className: "distance" });
    link.replaceWith(box);
    box.append(link);
    const input = range("Viewing distance", 100, 0);
    const full = image.width;
    input.addEventListener("input", () => {
      box.style.minHeight = box.style.minHeight || `${box.offsetHeight}px`;
      image.style.width = `${full * 0.12 ** (input.value / 100)}px`;
      image.style.imageRendering = "auto";
    });
    box.after(make("div", { className: "control" }, make("span", { textContent: "near" }), input, make("span", { textContent: "far" })));
  }
}

function videos() {
  if (still.matches || !("IntersectionObserver" in window)) return;
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? target.play().catch(() => {}) : target.pause();
  });
  all("video").forEach((video) => watch.observe(video));
}

function copying() {
  for (const button of all("[data-copy]")) {
    if (!navigator.clipboard) return;
    button.hidden = false;
    button.addEventListener("click", () =>
      navigator.clipboard.writeText(button.dataset.copy).then(
        () => (button.textContent = "Copied"),
        () => (button.textContent = "Not allowed"),
      ),
    );
  }
}

/* What does not overflow needs no stop of its own for the keyboard. */
function stops() {
  for (const element of all(".scroll, .equation, pre, .kind-filmstrip .cells")) {
    const over = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
    over ? element.setAttribute("tabindex", "0") : element.removeAttribute("tabindex");
  }
}

themes();
search();
lightbox();
const kinds = { compare, scrubber, turn, distance };
for (const figure of all("figure[data-kind]")) if (figure.querySelector(".cells")) kinds[figure.dataset.kind]?.(figure);
videos();
copying();
stops();
addEventListener("resize", stops);
document.addEventListener("toggle", stops, true);
