"use strict";
// Everything a model or a data set wrote reaches the page through textContent only; nothing is parsed as HTML.
const index = JSON.parse(document.getElementById("index").textContent);
const list = document.getElementById("list");
const more = document.getElementById("more");
const count = document.getElementById("count");
const form = document.forms[0];
const BATCH = 50;
const SIGN = { right: "✓", wrong: "✗", unparsed: "?", abstain: "–", timeout: "⏱", failed: "!" };
let found = [];
let shown = 0;

function el(tag, cls, ...inside) {
  const e = document.createElement(tag);
  if (cls) e.className = cls;
  for (const x of inside) if (x !== null && x !== undefined && x !== "") e.append(x);
  return e;
}

function badge(verdict, before) {
  const kind = verdict === "right" || verdict === "wrong" ? verdict : "";
  return el("span", "badge " + kind, (before ? before + " " : "") + (SIGN[verdict] || "") + " " + (verdict || "no verdict"));
}

function fold(title, cls, fill) {
  const d = el("details", cls);
  d.append(el("summary", "", ...title));
  d.addEventListener("toggle", () => {
    if (d.open && !d.dataset.full) {
      d.dataset.full = "1";
      const inside = el("div", "in");
      fill(inside);
      d.append(inside);
    }
  });
  return d;
}

function short(text, most) {
  return text.length > most ? text.slice(0, most - 1) + "…" : text;
}

function row(p) {
  const verdicts = el("span", "verdicts");
  for (const [name, verdict] of p.v) verdicts.append(badge(verdict, name));
  const title = [el("strong", "", "#" + (p.row + 1) + " "), el("span", "soft", p.domain + " "), short(p.q, 240), verdicts];
  return fold(title, "problem", (into) => problem(p, into));
}

function problem(p, into) {
  const source = document.getElementById("p" + p.row);
  if (!source) {
    into.append(el("p", "soft", "Left out to keep this page small; see records.jsonl."));
    return;
  }
  const d = JSON.parse(source.textContent);
  into.append(el("h3", "", "Question"), el("pre", "", d.question));
  if (d.choices.length) into.append(el("p", "", "Choices: " + d.choices.join(" | ")));
  if (d.reference !== null) into.append(el("p", "", "Reference: ", el("strong", "", d.reference)));
  into.append(el("p", "soft", "Problem " + d.id + (d.source ? ", " + d.source : "")));
  if (d.prompt.length) into.append(fold(["Prompt as sent"], "", (box) => {
    for (const [role, text] of d.prompt) box.append(el("p", "soft", role), el("pre", "", text));
  }));
  for (const r of d.runs) into.append(run(r, d.bodies));
}

function run(r, bodies) {
  const box = el("section", "run");
  box.append(el("h3", "", r.strategy + " ", r.verdict ? badge(r.verdict) : ""));
  if (r.answered) box.append(el("p", "", "Answer: ", el("strong", "", r.value === null ? "none" : r.value)));
  if (r.why) box.append(el("p", "", r.why));
  if (r.reason) box.append(el("p", "soft", "Grader: " + r.reason));
  for (const note of r.notes) box.append(el("p", "soft", "Note: " + note));
  if (r.error) box.append(el("p", "", "Failed: " + r.error));
  box.append(el("p", "soft", r.spent));
  const chosen = r.attempts.filter((a) => a.id === r.chosen);
  const others = r.attempts.filter((a) => a.id !== r.chosen);
  for (const a of chosen) box.append(attempt(a, bodies[a.body], true));
  const list = (into) => others.forEach((a) => into.append(attempt(a, bodies[a.body], false)));
  if (others.length > 2) box.append(fold([others.length + (chosen.length ? " other" : "") + " attempts"], "", list));
  else list(box);
  if (r.left) box.append(el("p", "soft", r.left + " more attempts are in records.jsonl."));
  return box;
}

function attempt(a, b, chosen) {
  const title = [a.id + " ", badge(b.verdict), " ", b.answer === null ? "no answer" : b.answer.slice(0, 120)];
  title.push(el("span", "soft", " " + b.tokens + " tokens" + (a.score === null ? "" : ", score " + a.score.toFixed(2))));
  return fold(title, chosen ? "chosen" : "", (box) => {
    if (b.reasoning) box.append(el("p", "soft", "Reasoning"), el("pre", "", b.reasoning));
    box.append(el("pre", "", b.text));
    if (b.cut) box.append(el("p", "soft", b.cut + " more characters are in records.jsonl."));
    const facts = ["finish: " + b.finish];
    if (b.strict !== null) facts.push(b.strict ? "answer where asked for" : "answer found elsewhere in the text");
    if (a.parents.length) facts.push("made from " + a.parents.join(", "));
    box.append(el("p", "soft", facts.join("; ")));
    if (b.reason) box.append(el("p", "soft", "Grader: " + b.reason));
    if (a.why) box.append(el("p", "soft", "Verifier: " + a.why));
    if (b.gists.length) gists(b.gists, box);
  });
}

function gists(pieces, box) {
  const line = el("div", "timeline");
  line.setAttribute("aria-hidden", "true");
  for (const [text, tokens, logprob] of pieces) {
    const bit = el("span");
    bit.style.flexGrow = Math.max(tokens, 1);
    // the surer the model was of these tokens, the stronger the colour
    bit.style.opacity = logprob === null ? 0.5 : 0.25 + 0.75 * Math.exp(logprob);
    bit.title = text.slice(0, 200);
    line.append(bit);
  }
  box.append(el("p", "soft", pieces.length + " gists"), line);
  box.append(fold(["As a table"], "", (into) => {
    const table = el("table");
    const head = el("tr");
    for (const name of ["text", "seconds", "tokens", "mean probability"]) {
      const cell = el("th", "", name);
      cell.scope = "col";
      head.append(cell);
    }
    table.append(head);
    for (const [text, tokens, logprob, seconds] of pieces) {
      const sure = logprob === null ? "" : (100 * Math.exp(logprob)).toFixed(0) + " %";
      table.append(el("tr", "", el("td", "", text.slice(0, 80)), el("td", "", seconds.toFixed(2)), el("td", "", String(tokens)), el("td", "", sure)));
    }
    into.append(el("div", "scroll", table));
  }));
}

function matches(p, text, domain, strategy, verdict) {
  if (domain && p.domain !== domain) return false;
  if (text && !p.find.includes(text)) return false;
  const seen = strategy ? p.v.filter(([name]) => name === strategy) : p.v;
  return verdict ? seen.some(([, v]) => v === verdict) : !strategy || seen.length > 0;
}

function filter() {
  const text = form.text.value.trim().toLowerCase();
  found = index.filter((p) => matches(p, text, form.domain.value, form.strategy.value, form.verdict.value));
  count.textContent = found.length + " of " + index.length + " problems";
  list.replaceChildren();
  shown = 0;
  next();
}

function next() {
  for (const p of found.slice(shown, shown + BATCH)) list.append(row(p));
  shown = Math.min(shown + BATCH, found.length);
  more.hidden = shown >= found.length;
}

for (const p of index) p.find = (p.q + " " + p.ref).toLowerCase();
form.addEventListener("input", filter);
form.addEventListener("submit", (event) => event.preventDefault());
more.addEventListener("click", next);
filter();
