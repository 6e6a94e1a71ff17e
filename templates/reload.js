// Served with previews only: reloads after a build, and shows what is wrong with the report.
"use strict";
(() => {
  let seen = null;
  const host = document.createElement("div");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    section { position: fixed; inset: auto 0 0 0; max-height: 60vh; overflow: auto; z-index: 99; padding: 1rem 1.5rem;
      background: #3a0d0d; color: #fff; font: 15px/1.5 system-ui, sans-serif; box-shadow: 0 -4px 24px #0008; }
    h2 { font-size: 1.1rem; margin: 0 0 .5rem; } ol { margin: 0; padding-left: 1.4rem; }
    pre { margin: 0 0 .6rem; white-space: pre-wrap; font: 14px/1.5 ui-monospace, monospace; }
    p { position: fixed; right: 1rem; bottom: 1rem; margin: 0; padding: .3rem .8rem; border-radius: 1rem;
      background: #222; color: #fff; font: 14px/1.5 system-ui, sans-serif; }`);
  root.adoptedStyleSheets = [sheet];
  document.body.append(host);
  const make = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  const events = new EventSource("/.noisebook/events");
  events.onmessage = (event) => {
    const { version, building, problems } = JSON.parse(event.data);
    if (seen !== null && version !== seen) return location.reload();
    seen = version;
    root.replaceChildren();
    if (building) return root.append(make("p", "building\u2026"));
    if (!problems.length) return;
    const section = document.createElement("section");
    section.id = "problems";
    section.setAttribute("role", "alert");
    const list = document.createElement("ol");
    for (const problem of problems) {
      const item = document.createElement("li");
      item.append(make("pre", problem));
      list.append(item);
    }
    const count = problems.length === 1 ? "One problem" : `${problems.length} problems`;
    section.append(make("h2", `${count}: this page shows the last build that worked`), list);
    root.append(section);
  };
})();
