// Everything here improves a page that already makes sense without it.
"use strict";

const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
/* Data come as scripts, because a page opened as a file may not fetch. */
const script = (src) => new Promise((resolve, reject) => document.head.append(make("script", { src, onload: resolve, onerror: reject })));
const still = matchMedia("(prefers-reduced-motion: reduce)");
/* Why this page can compute nothing, as a paragraph; or nothing. */
function obstacle() {
  if (location.protocol === "file:") {
    const code = (textContent) => make("code", { textContent });
    return make("p", {}, "This page was opened as a file, and browsers let no such page read the other files that it needs. From a server it runs: in the folder of this page, type ",
      code("python3 -m http.server"), " and open ", code(`http://localhost:8000/${location.pathname.split("/").pop()}`), ".");
  }
  const missing = ["Worker", "WebAssembly", "DecompressionStream", "OffscreenCanvas"].filter((name) => !(name in window));
  return missing.length ? make("p", { textContent: `This browser is too old for what runs here: it lacks ${missing.join(", ")}.` }) : null;
}

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

// Contents: the page's own entry is in sight, and the heading that one reads below is marked

function contents() {
  const list = document.querySelector(".contents");
  const here = list?.querySelector('a[aria-current="page"]');
  if (!here) return;
  const reveal = (link) => {
    const over = list.clientHeight / 3;
    if (link.offsetTop < list.scrollTop + over / 2 || link.offsetTop > list.scrollTop + 2 * over) list.scrollTop = link.offsetTop - over;
  };
  requestAnimationFrame(() => reveal(here));
  const links = all(".within a", list);
  const headings = links.map((link) => document.getElementById(decodeURIComponent(link.hash.slice(1))));
  let marked = null;
  const mark = () => {
    const end = innerHeight + scrollY >= document.documentElement.scrollHeight - 2;
    const last = headings.filter((heading) => heading.getBoundingClientRect().top < innerHeight / 3).length - 1;
    const link = links[end ? links.length - 1 : last] ?? null;
    if (link === marked) return;
    marked?.removeAttribute("aria-current");
    link?.setAttribute("aria-current", "location");
    if ((marked = link)) reveal(link);
  };
  if (!links.length) return;
  addEventListener("scroll", mark, { passive: true });
  requestAnimationFrame(mark);
}

// References: the figure that one leads to, on hover and on focus

function previews() {
  const box = make("div", { className: "preview", id: "preview", hidden: true });
  box.setAttribute("role", "tooltip");
  document.querySelector("main").append(box);
  let link = null, timer = 0;
  const hide = () => {
    clearTimeout(timer);
    link?.removeAttribute("aria-describedby");
    link = null;
    box.hidden = true;
  };
  const show = async (target) => {
    link = target;
    if (!window.figureIndex) await script(document.body.dataset.figures);
    const found = window.figureIndex[decodeURIComponent(target.hash).slice(5)];
    if (link !== target || !found) return;
    const [words, pictures] = found;
    const row = make("div", {}, ...pictures.map(([src, width, height, alt, className]) => make("img", { src, width, height, alt, className })));
    box.replaceChildren(row, make("p", { textContent: words }));
    box.hidden = false;
    target.setAttribute("aria-describedby", box.id);
    const { left, top, bottom } = target.getClientRects()[0];
    const above = top - box.offsetHeight > 64;
    box.style.left = `${scrollX + Math.max(8, Math.min(left, document.documentElement.clientWidth - box.offsetWidth - 8))}px`;
    box.style.top = `${scrollY + (above ? top - 6 : bottom + 6)}px`;
    box.style.translate = above ? "0 -100%" : "";
  };
  const later = (act, delay) => {
    clearTimeout(timer);
    timer = setTimeout(act, delay);
  };
  for (const each of all('a.ref[href*="#fig-"]')) {
    each.removeAttribute("title");
    each.addEventListener("mouseenter", () => later(() => (hide(), show(each)), 200));
    each.addEventListener("mouseleave", () => later(hide, 200));
    each.addEventListener("focus", () => (hide(), show(each)));
    each.addEventListener("blur", hide);
  }
  box.addEventListener("mouseenter", () => clearTimeout(timer));
  box.addEventListener("mouseleave", () => later(hide, 200));
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
}

// Search


/* A number, one sign of a script that has no spaces, or a word. */
const WORD = /\p{N}+(?:[.,]\p{N}+)*|[\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}]|(?:(?![\p{sc=Han}\p{sc=Hira}\p{sc=Kana}\p{sc=Thai}])[\p{L}\p{M}])+/gu;

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
  const fold = (word) => word.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const words = (text) => [...text.matchAll(WORD)];
  let index = null;
  const load = async () => {
    if (index) return;
    await Promise.all([script(document.body.dataset.engine), script(document.body.dataset.search)]);
    index = new MiniSearch({ idField: "href", fields: ["title", "text"], storeFields: ["title", "text"], tokenize: (text) => text.match(WORD) ?? [], processTerm: fold });
    index.addAll(window.searchIndex.map(([title, href, text]) => ({ title, href, text })));
  };
  /* Some of the text around the first of the terms, each of them marked: all of them are folded words of the text. */
  const snippet = (text, terms) => {
    const hits = words(text).filter((word) => terms.has(fold(word[0])));
    const from = hits.length ? Math.max(0, hits[0].index - 50) : 0;
    const start = from && text.indexOf(" ", from) + 1, end = text.length > start + 180 ? text.lastIndexOf(" ", start + 180) : text.length;
    const parts = [start ? "…" : ""];
    let at = start;
    for (const { 0: word, index: place } of hits) {
      if (place < at || place + word.length > end) continue;
      parts.push(text.slice(at, place), make("mark", { textContent: word }));
      at = place + word.length;
    }
    return [...parts, text.slice(at, end), end < text.length ? "…" : ""];
  };
  const find = () => {
    const found = index?.search(input.value, {
      combineWith: "AND",
      prefix: true,
      fuzzy: (term) => (term.length > 3 ? 0.2 : false),
      boost: { title: 3 },
    }) ?? [];
    results.replaceChildren(
      ...found.slice(0, 30).map(({ id, title, text, terms }) =>
        make("li", {}, make("a", { href: id }, make("b", { textContent: title }), make("span", {}, ...snippet(text, new Set(terms))))),
      ),
    );
    note.textContent = !input.value.trim() ? "Type a word or two." : found.length ? `${found.length} found` : "Nothing found.";
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
  let group = [], at = 0, zoom = 1;
  const vector = () => image.classList.contains("vector");
  const fit = () => {
    const width = show.clientWidth - 32, height = show.clientHeight - 32;
    const inside = Math.min(width / image.naturalWidth, height / image.naturalHeight);
    const small = Math.max(image.naturalWidth, image.naturalHeight) <= 128;
    image.classList.toggle("pixelated", small || inside >= 2);
    const factor = small ? Math.max(1, Math.floor(inside)) : Math.min(inside, image.naturalWidth > 480 ? 1 : 2.5);
    if (vector()) image.style.width = `${Math.min(show.clientWidth - 32, (show.clientHeight - 32) * (image.naturalWidth / image.naturalHeight)) * zoom}px`;
    else image.style.width = `${Math.round(image.naturalWidth * factor)}px`;
    larger.hidden = !vector();
    larger.setAttribute("aria-pressed", zoom > 1);
  };
  const magnify = () => {
    if (vector()) zoom = zoom > 1 ? 1 : 2.5;
    fit();
  };
  const go = (to) => {
    at = (to + group.length) % group.length;
    const link = group[at], source = link.querySelector("img");
    const label = link.closest(".cell")?.querySelector(".label")?.textContent.replace(/\s+/g, " ").trim() ?? "";
    image.classList.toggle("vector", source.classList.contains("vector"));
    zoom = 1;
    image.src = link.href;
    image.alt = source.alt;
    words.textContent = group.length > 1 ? `${label} (${at + 1} of ${group.length})` : label;
    if (image.complete) fit();
  };
  image.addEventListener("load", fit);
  addEventListener("resize", () => dialog.open && fit());
  const back = button("←", "Previous picture", () => go(at - 1));
  const forth = button("→", "Next picture", () => go(at + 1));
  const larger = button("⤢", "Larger", magnify);
  image.addEventListener("click", magnify);
  dialog.append(show, make("footer", {}, back, words, forth, larger, button("✕", "Close", () => dialog.close())));
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

/* Two pictures on top of each other, with a handle between them. Of more than two, the reader chooses. */
function compare(figure) {
  const list = figure.querySelector(".cells");
  const cells = all(".cell", list).filter((cell) => cell.querySelector("img"));
  if (cells.length < 2) return;
  const over = make("div", { className: "over" });
  const under = make("div");
  const handle = make("div", { className: "handle" });
  const input = range("", 100, 50);
  const move = () => {
    over.style.clipPath = `inset(0 ${100 - input.value}% 0 0)`;
    handle.style.left = `${input.value}%`;
  };
  const show = (left, right) => {
    over.replaceChildren(picture(left));
    under.replaceChildren(picture(right));
    stage.style.width = `${under.firstChild.getAttribute("width")}px`;
    input.setAttribute("aria-label", `Compare: ${label(left)} on the left, ${label(right)} on the right`);
  };
  input.addEventListener("input", move);
  move();
  const stage = make("div", { className: "stage" }, under, over, handle, input);
  if (cells.length === 2) {
    const [left, right] = cells;
    show(left, right);
    const sides = make("div", { className: "label sides" }, make("span", { textContent: `← ${label(left)}` }), make("span", { textContent: `${label(right)} →` }));
    left.replaceWith(make("li", { className: "cell" }, stage, sides));
    right.remove();
    list.classList.add("enhanced");
    return;
  }
  const columns = +figure.dataset.columns;
  const choice = (side, at) => {
    const select = make("select", {}, ...cells.map((cell, index) => make("option", { value: index, textContent: label(cell) })));
    select.value = at;
    select.setAttribute("aria-label", `On the ${side}`);
    select.addEventListener("change", () => show(cells[left.value], cells[right.value]));
    return select;
  };
  const left = choice("left", 0), right = choice("right", columns < cells.length ? columns : 1);
  show(cells[left.value], cells[right.value]);
  list.after(make("div", { className: "stagebox" }, make("div", { className: "cell" }, stage), make("div", { className: "control" }, left, make("span", { textContent: "⇔" }), right)));
}

/* One state of many, chosen by a slider: the frames of a film, which then needs no cell of its own, or the cells. */
function scrubber(figure) {
  const list = figure.querySelector(".cells");
  const cells = all(".cell", list);
  const film = list.querySelector("[data-frames]");
  if (cells.length < 2 && !film) return;
  const place = make("div", { className: "stage" });
  const durations = film ? film.dataset.durations.split(" ").map(Number) : cells.map(() => 350);
  const count = durations.length;
  const input = range("State of the reverse process", count - 1, count - 1);
  const output = make("output");
  let show;
  if (film) {
    const [width, height] = ["width", "height"].map((name) => +film.getAttribute(name));
    const strip = make("img", { src: film.dataset.frames, alt: film.alt, className: film.className, loading: "lazy", width: width * count, height });
    strip.style.width = `${width * count}px`;
    place.classList.add("film");
    place.style.width = `${width}px`;
    place.style.height = `${height}px`;
    place.append(strip);
    show = (at) => {
      strip.style.translate = `${-at * width}px 0`;
      output.textContent = `${at + 1} of ${count}`;
    };
    film.closest(".cell").remove();
    list.style.setProperty("--n", Math.min(figure.dataset.columns, cells.length - 1));
  } else {
    const pictures = cells.map(picture);
    show = (at) => {
      place.replaceChildren(pictures[at]);
      output.textContent = label(cells[at]);
    };
  }
  const move = () => {
    show(+input.value);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  const play = make("button", { type: "button", textContent: "Play" });
  let timer = 0;
  const stop = () => {
    clearTimeout(timer);
    timer = 0;
    play.textContent = "Play";
  };
  const step = () => {
    if (+input.value === count - 1) return stop();
    timer = setTimeout(() => {
      input.value = +input.value + 1;
      move();
      step();
    }, durations[input.value]);
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (+input.value === count - 1) input.value = 0;
    play.textContent = "Stop";
    move();
    step();
  });
  input.addEventListener("input", () => (stop(), move()));
  move();
  const control = make("div", { className: "control" }, play, input, output);
  const box = make("div", { className: "stagebox" }, place, control);
  if (film) return list.after(box);
  const every = make("button", { type: "button", textContent: "Show all" });
  control.append(every);
  every.addEventListener("click", () => {
    list.hidden = !list.hidden;
    place.hidden = !list.hidden;
    every.textContent = list.hidden ? "Show all" : "Show one";
  });
  list.hidden = true;
  list.before(box);
}

/* The pictures that are moved by hand: the first of each row that ends with a film, which shows nothing else
   and is taken away; in a figure without films, every one. */
function moved(figure) {
  const links = all("a.picture", figure);
  const found = [];
  let first = null;
  for (const link of links) {
    if (!link.querySelector("picture")) first ??= link;
    else if (first) {
      found.push(first);
      first = null;
      link.closest(".cell").remove();
    }
  }
  return (found.length ? found : links).map((link) => [link, link.querySelector("img")]);
}

/* A picture that turns under the reader's hand, or that is flipped about its middle: an anagram. */
function turn(figure, axis = "") {
  for (const [link, image] of moved(figure)) {
    image.classList.add("turn");
    const input = range("Turn the picture, in degrees", 180, 0);
    input.addEventListener("input", () => (image.style.rotate = `${axis}${input.value}deg`));
    const over = make("button", { type: "button", textContent: "Turn over" });
    over.addEventListener("click", () => {
      const target = +input.value < 90 ? 180 : 0;
      const step = still.matches ? 180 : 4;
      const go = () => {
        input.value = +input.value + Math.sign(target - input.value) * Math.min(step, Math.abs(target - input.value));
        input.dispatchEvent(new Event("input"));
        if (+input.value !== target) requestAnimationFrame(go);
      };
      go();
    });
    link.closest(".cell").append(make("div", { className: "control" }, input, over));
  }
}

const flip = (figure) => turn(figure, "x ");

/* A picture seen from nearer or farther: a hybrid. */
function distance(figure) {
  for (const [link, image] of moved(figure)) {
    const box = make("div", { className: "distance" });
    link.replaceWith(box);
    box.append(link);
    const input = range("Viewing distance", 100, 0);
    let full = 0;
    input.addEventListener("input", () => {
      full ||= image.clientWidth;
      box.style.minHeight ||= `${box.offsetHeight}px`;
      image.style.width = `${full * 0.12 ** (input.value / 100)}px`;
      image.style.imageRendering = "auto";
    });
    const ends = make("div", { className: "sides" }, make("span", { textContent: "near" }), make("span", { textContent: "far" }));
    box.closest(".cell").append(make("div", { className: "control stacked" }, input, ends));
  }
}

/* A picture whose light is turned down until its colours are gone: a hybrid of grey and colour. */
function dim(figure) {
  for (const [link, image] of moved(figure)) {
    const input = range("How dark it is", 100, 0);
    input.addEventListener("input", () => {
      const dark = input.value / 100;
      image.style.filter = `grayscale(${dark}) brightness(${1 - 0.4 * dark})`;
    });
    const ends = make("div", { className: "sides" }, make("span", { textContent: "light" }), make("span", { textContent: "dark" }));
    link.closest(".cell").append(make("div", { className: "control stacked" }, input, ends));
  }
}

function videos() {
  for (const video of all("video")) {
    video.controls = false; // of a theme's own: they cover half of a film as low as these
    const name = video.closest(".cell")?.querySelector(".name")?.textContent ?? "the film";
    const button = make("button", { type: "button" });
    const tell = () => {
      button.textContent = video.paused ? "Play" : "Pause";
      button.setAttribute("aria-label", `${button.textContent} ${name}`);
    };
    const toggle = () => (video.paused ? video.play().catch(() => {}) : video.pause());
    for (const event of ["play", "pause"]) video.addEventListener(event, tell);
    for (const target of [video, button]) target.addEventListener("click", toggle);
    tell();
    video.nextElementSibling.append(button);
  }
  if (still.matches || !("IntersectionObserver" in window)) return;
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) isIntersecting ? target.play().catch(() => {}) : target.pause();
  });
  all("video").forEach((video) => watch.observe(video));
}

/* A button copies what it names, or the code beside it. */
function copying() {
  if (!navigator.clipboard) return;
  for (const block of all(".highlight")) block.append(make("button", { type: "button", textContent: "Copy", ariaLabel: "Copy this code" }));
  for (const button of all("[data-copy], .highlight > button")) {
    button.hidden = false;
    button.addEventListener("click", () =>
      navigator.clipboard.writeText(button.dataset.copy?.replace(/^#.*/, (place) => new URL(place, location)) || button.closest(".panel, .highlight").querySelector("code").textContent).then(
        () => (button.textContent = button.ariaLabel = "Copied"),
        () => (button.textContent = button.ariaLabel = "Not allowed"),
      ),
    );
  }
}

/* What overflows is a stop for the keyboard, and fades out at the side on which there is more. */
const scrolls = ".scroll, .equation, pre, .kind-filmstrip .cells, a.picture";
const rest = (element) => element.scrollWidth - element.clientWidth - element.scrollLeft;

function stops() {
  // What is folded away or far off is not laid out for this: both events below tell when it is there.
  const there = all(scrolls).filter((element) => element.checkVisibility?.({ contentVisibilityAuto: true }) ?? true);
  const measured = there.map((element) => [
    element,
    element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1,
    rest(element) > 4,
  ]); // measured first, so that the page is laid out once
  for (const [element, over, more] of measured) {
    over ? element.setAttribute("tabindex", "0") : element.removeAttribute("tabindex");
    element.classList.toggle("more", more);
  }
}

addEventListener("beforeprint", () => {
  all("video").forEach((video) => video.load()); // back to the still
  all('img[loading="lazy"]').forEach((image) => (image.loading = "eager"));
});

themes();
contents();
previews();
search();
lightbox();
const kinds = { compare, scrubber, turn, flip, distance, dim };
for (const figure of all("figure[data-kind]")) if (figure.querySelector(".cells")) kinds[figure.dataset.kind]?.(figure);
videos();
copying();
requestAnimationFrame(stops); // measured in a frame, which lays the page out in any case
addEventListener("resize", stops);
for (const event of ["toggle", "contentvisibilityautostatechange"]) document.addEventListener(event, stops, true);
document.addEventListener("scroll", ({ target }) => target.matches?.(scrolls) && target.classList.toggle("more", rest(target) > 4), { capture: true, passive: true });
