// The attempts of a request as a tree: each under the attempt it was revised or merged from, each opening to its text.
// While the request works, the lines of its attempts come in here as they are written.

import { bar, fill, h, say, svg } from "./dom.js";
import { count, firstLine, percent } from "./format.js";
import { gistsOf, MOST_LINES } from "./store.js";

const OPEN_AT_ONCE = 4; // attempts that open by themselves while the request works
const FIRST_SHOWN = 200; // attempts; the rest on demand

/** A tree that draws itself into `place`. `draw(request, working)` and `write(names)` bring it up to date. */
export function attemptTree(place, id) {
  const nodes = new Map(); // attempt -> node
  let all = false;

  function draw(request, working) {
    const known = new Map(request.attempts.map((one) => [one.id, one]));
    for (const name of gistsOf(id).keys()) {
      if (!known.has(name)) known.set(name, { id: name, parents: [], unknown: true });
    }
    const listed = [...known.values()].slice(0, all ? known.size : FIRST_SHOWN);
    const shown = new Set(listed.map((one) => one.id));
    const under = new Map(); // parent -> its attempts
    for (const one of listed) {
      const parent = one.parents.find((name) => shown.has(name) && name !== one.id) ?? null;
      under.set(parent, [...(under.get(parent) ?? []), one]);
    }
    const drawn = new Set();
    const branch = (parent, depth) => h("ul", { class: depth > 8 ? "attempts flat" : "attempts" },
      (under.get(parent) ?? []).filter((one) => !drawn.has(one.id) && drawn.add(one.id)).map((one) => h("li", {},
        node(one, request, working).element, under.has(one.id) ? branch(one.id, depth + 1) : null)));
    const roots = branch(null, 0);
    // parents that go round in a ring have no root: show them all the same
    for (const one of listed) if (!drawn.has(one.id)) roots.append(h("li", {}, node(one, request, working).element));
    const rest = known.size - listed.length;
    fill(place, known.size ? roots : h("p", { class: "quiet" }, working ? "No attempt has begun." : "None."),
      rest > 0 && h("button", { type: "button", onclick: () => { all = true; draw(request, working); } },
        `Show ${count(rest)} more`));
  }

  function node(one, request, working) {
    if (!nodes.has(one.id)) nodes.set(one.id, makeNode(id, one.id, working && nodes.size < OPEN_AT_ONCE));
    const found = nodes.get(one.id);
    found.update(one, request, working);
    return found;
  }

  /** New lines of these attempts. False if one of them is not in the tree yet. */
  function write(names) {
    let complete = true;
    for (const name of names) {
      if (nodes.has(name)) nodes.get(name).write();
      else complete = false;
    }
    return complete;
  }

  return { draw, write };
}

function makeNode(id, name, open) {
  const head = h("summary");
  const inside = h("div", { class: "inside" });
  const element = h("details", { class: "attempt", open }, head, inside);
  const latest = h("span", { class: "thought", dir: "auto" });
  let now = null; // {one, request, working} as last drawn
  let lines = null; // the place of the gists, and how many of them it has had
  let written = 0;
  let ours = open; // opened by the page, not by the reader
  head.addEventListener("click", () => { ours = false; });
  element.addEventListener("toggle", () => now && drawInside());

  function update(one, request, working) {
    if (now?.working && !working && ours) element.open = one.chosen;
    now = { one, request, working };
    element.classList.toggle("chosen", one.chosen === true);
    const parts = [h("span", { class: "name" }, name)];
    if (one.chosen) parts.push(h("span", { class: "chosen" }, check(), "chosen"));
    if (one.answer) parts.push(h("b", { dir: "auto" }, firstLine(one.answer, 80)));
    if (one.error) parts.push(h("span", { class: "bad" }, `failed: ${firstLine(one.error, 100)}`));
    if (working && !one.finish && !one.error) parts.push(latest);
    const facts = [];
    if (one.score !== null && one.score !== undefined) {
      facts.push(h("span", { class: "score" }, bar(one.score), h("span", { class: "unseen" }, "score "),
        percent(one.score)));
    }
    if (one.tokens) facts.push(h("span", {}, `${count(one.tokens)} tokens`));
    if (one.finish && one.finish !== "stop") facts.push(h("span", {}, finish(one.finish)));
    if (one.parents.length > 1) facts.push(h("span", {}, `from ${one.parents.join(", ")}`));
    fill(head, h("span", { class: "first" }, parts), h("span", { class: "facts" }, facts));
    drawInside();
    write();
  }

  function drawInside() {
    if (!element.open) {
      fill(inside);
      lines = null;
      return;
    }
    const { one, request, working } = now;
    if (one.error) fill(inside, h("p", { class: "bad" }, one.error));
    else fill(inside);
    if (one.text !== null && one.text !== undefined && !(working && !one.text)) {
      lines = null;
      inside.append(longText(one.text || "(nothing was written)", `Text of attempt ${name}`));
    } else if (gistsOf(id).get(name)) {
      lines = h("div", {
        class: "gists", tabindex: "0", role: "log", "aria-live": "off", "aria-label": `Lines of attempt ${name}`,
      });
      written = 0;
      inside.append(lines);
      write();
    } else {
      inside.append(h("p", { class: "quiet" }, working ? "Nothing written yet." : request.noTexts));
    }
  }

  function write() {
    const own = gistsOf(id).get(name);
    if (!own) return;
    if (now.working) say(latest, firstLine(own.lines.at(-1) ?? "", 140));
    if (element.open && lines === null && now.working && !now.one.text) drawInside();
    if (lines === null || own.count === written) return;
    const atEnd = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 40;
    const fresh = own.lines.slice(-Math.min(own.count - written, own.lines.length));
    lines.append(...fresh.map((line) => h("p", { dir: "auto" }, line)));
    while (lines.childElementCount > MOST_LINES) lines.firstElementChild.remove();
    written = own.count;
    if (atEnd) lines.scrollTop = lines.scrollHeight;
  }

  return { element, update, write };
}

const FINISH = { length: "cut at its length", cancelled: "cancelled", timeout: "out of time", filter: "filtered" };
const finish = (name) => FINISH[name] ?? name;

const check = () => svg("svg", { class: "check", viewBox: "0 0 16 16", "aria-hidden": "true" },
  svg("path", { d: "M3 8.5l3.2 3.2L13 5" }));

/** A text in a box of its own that scrolls, and that the keyboard reaches. */
export function longText(text, name) {
  return h("pre", { class: "text", dir: "auto", tabindex: "0", role: "group", "aria-label": name }, text);
}
