// A small picture that a reader draws, with a finger, a mouse or the keyboard, and a hole in it.
//
//   pad = drawingPad({ width, height, levels, changed })
//     pad.element; pad.levels: 0 … levels of each pixel; pad.hole: 0 or 1; pad.tool: a name of TOOLS;
//     pad.set(levels, hole); pad.undo(); pad.showHole(whether). `changed` is called after a stroke.

/* Pixels from the middle of a stroke to its edge. */
export const TOOLS = { pen: 1.1, rubber: 1.8, hole: 2, mend: 2 };
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function drawingPad({ width, height, levels: most, changed }) {
  const canvas = make("canvas", { width, height, tabIndex: 0 });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", `Drawing, ${width} by ${height} pixels`);
  const cursor = make("span", { className: "brush" });
  const said = make("p", { className: "hint", textContent: "By keys: arrows move, Space paints, Shift with an arrow draws a line." });
  said.setAttribute("role", "status");
  const pad = {
    element: make("div", { className: "pad" }, make("div", { className: "sheet" }, canvas, cursor), said),
    levels: new Uint8Array(width * height),
    hole: new Uint8Array(width * height),
    tool: "pen",
  };
  const before = [];
  let at = [width >> 1, height >> 1], last = null, holed = false;

  const show = () => {
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      const checked = (i + Math.floor(i / width)) % 2 ? 96 : 160;
      image.data.fill(holed && pad.hole[i] ? checked : Math.round((255 * pad.levels[i]) / most), 4 * i, 4 * i + 3);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
    [cursor.style.left, cursor.style.top] = [`${(100 * at[0]) / width}%`, `${(100 * at[1]) / height}%`];
    [cursor.style.width, cursor.style.height] = [`${100 / width}%`, `${100 / height}%`];
  };
  const remember = () => {
    before.push([pad.levels.slice(), pad.hole.slice()]);
    if (before.length > 50) before.shift();
  };
  /* A line between two points, in pixels; its edge is soft. */
  const stroke = ([fromX, fromY], [toX, toY]) => {
    const [alongX, alongY] = [toX - fromX, toY - fromY];
    const squared = alongX ** 2 + alongY ** 2;
    for (let i = 0; i < width * height; i++) {
      const [x, y] = [(i % width) + 0.5 - fromX, Math.floor(i / width) + 0.5 - fromY];
      const part = squared ? Math.min(1, Math.max(0, (x * alongX + y * alongY) / squared)) : 0;
      const distance = Math.hypot(x - part * alongX, y - part * alongY);
      const strength = Math.min(1, Math.max(0, TOOLS[pad.tool] + 0.5 - distance));
      if (pad.tool === "pen") pad.levels[i] = Math.max(pad.levels[i], Math.round(most * strength));
      else if (pad.tool === "rubber") pad.levels[i] = Math.min(pad.levels[i], Math.round(most * (1 - strength)));
      else if (strength >= 0.5) pad.hole[i] = pad.tool === "hole" ? 1 : 0;
    }
    show();
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * width) / box.width, ((event.clientY - box.top) * height) / box.height];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    remember();
    last = place(event);
    stroke(last, last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!last) return;
    for (const each of event.getCoalescedEvents?.() ?? [event]) {
      const next = place(each);
      stroke(last, next);
      last = next;
    }
  });
  canvas.addEventListener("lostpointercapture", () => {
    if (last) changed();
    last = null;
  });
  canvas.addEventListener("keydown", (event) => {
    const step = STEPS[event.key], paint = event.key === " ";
    if ((!step && !paint) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const from = at;
    if (step) at = [Math.min(width - 1, Math.max(0, at[0] + step[0])), Math.min(height - 1, Math.max(0, at[1] + step[1]))];
    if (paint || event.shiftKey) {
      if (!event.repeat) remember(); // a key held down is one stroke
      stroke([from[0] + 0.5, from[1] + 0.5], [at[0] + 0.5, at[1] + 0.5]);
      changed();
    }
    show();
    const i = at[1] * width + at[0];
    const what = holed && pad.hole[i] ? "hole" : pad.levels[i] ? (pad.levels[i] > most / 2 ? "white" : "grey") : "black";
    said.textContent = `Row ${at[1] + 1}, column ${at[0] + 1}: ${what}`;
  });
  pad.set = (levels, hole) => {
    remember();
    pad.levels.set(levels);
    pad.hole.set(hole);
    show();
  };
  pad.undo = () => {
    const found = before.pop();
    if (!found) return;
    [pad.levels, pad.hole] = found;
    show();
    changed();
  };
  pad.showHole = (whether) => {
    holed = whether;
    show();
  };
  show();
  return pad;
}
