// #/requests: what is at work and what was, newest first, changing as it happens.

import { get } from "./api.js";
import { bar, empty, fill, h, say, thumb } from "./dom.js";
import { cost, count, firstLine, iso, moment, percent, seconds, short, state, time } from "./format.js";
import { atWork, elapsed, forgetAll, gistsOf, put, requests, watch } from "./store.js";

const PAGE = 50;
const LIVE_ROWS = 200; // more than that only by "load more"

let oldest = null; // the id that the next page starts before
let more = false;
let wanted = LIVE_ROWS;
let filter = ""; // kept while the reader looks at a request and comes back

/** Draw the view into `main`; returns what ends it. */
export function show(main, context) {
  const rows = new Map(); // id -> row
  const body = h("tbody");
  const said = h("p", { class: "quiet", role: "status" });
  const wrong = h("p", { class: "wrong", role: "alert" });
  const further = h("button", { type: "button", hidden: true, onclick: () => load(oldest) }, "Load more");
  const box = h("input", {
    type: "search", id: "filter", placeholder: "words, a model, a state …", autocomplete: "off", value: filter,
    oninput: () => { filter = box.value; draw(); },
  });
  const table = h("table", { class: "requests" },
    h("caption", { class: "unseen" }, "Requests, newest first"),
    h("thead", {}, h("tr", {}, ["State", "Request", "Tokens", "Calls", "Time", "Confidence", "Agreement", "At"].map(
      (name, at) => h("th", { scope: "col", class: at > 1 ? "number" : null }, name)))),
    body);
  const totals = h("dl", { class: "totals" });
  fill(main,
    h("div", { class: "head" }, h("h1", { tabindex: "-1" }, "Requests"),
      h("div", { class: "search" }, h("label", { for: "filter" }, "Filter"), box)),
    totals, wrong, table, said, further);

  function draw() {
    const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...requests.values()].sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1)).slice(0, wanted);
    const shown = all.filter((one) => matches(one, words));
    for (const id of rows.keys()) if (!requests.has(id)) rows.delete(id);
    const wantedRows = shown.map((one) => {
      if (!rows.has(one.id)) rows.set(one.id, makeRow(one));
      return rows.get(one.id).element;
    });
    arrange(body, wantedRows);
    table.hidden = shown.length === 0;
    further.hidden = !(more || all.length < requests.size);
    if (all.length === 0) fill(said, nothingYet(context));
    else if (shown.length === 0) say(said, `None of the ${count(all.length)} loaded requests matches.`);
    else say(said, words.length ? `${count(shown.length)} of ${count(all.length)} loaded requests` : "");
  }

  async function load(before) {
    further.disabled = true;
    try {
      const page = await get(`requests?limit=${PAGE}${before ? `&before=${encodeURIComponent(before)}` : ""}`);
      const last = page.requests.findLast((one) => !atWork(one))?.id; // those at work come first, whatever their age
      if (!before && oldest !== null && page.more && last && !requests.has(last)) {
        forgetAll(); // so much came while the page did not listen that there is a gap
        oldest = null;
      }
      page.requests.forEach(put);
      if (before) wanted += page.requests.length;
      if (before || oldest === null) {
        oldest = last ?? oldest;
        more = page.more;
      }
      say(wrong, "");
      draw();
    } catch (error) {
      context.failed(error, (message) => say(wrong, message));
    }
    further.disabled = false;
  }

  function news({ requests: changed, gists }) {
    for (const id of changed) if (rows.has(id)) rows.get(id).update();
    if (changed.size) draw();
    for (const id of gists.keys()) rows.get(id)?.think();
  }

  const ticking = setInterval(() => rows.forEach((row) => row.tick()), 1000);
  const endWatch = watch(news);
  const endOverview = context.onOverview((overview) => drawTotals(totals, overview));
  const endLive = context.onLive(() => load(null));
  draw();
  load(null);
  return () => {
    clearInterval(ticking);
    endWatch();
    endOverview();
    endLive();
  };
}

function drawTotals(place, { totals }) {
  const tokens = totals.prompt_tokens + totals.completion_tokens;
  const facts = [["Requests", count(totals.requests)], ["Failed", count(totals.failed)], ["Tokens", short(tokens)]];
  if (totals.cost) facts.push(["Cost", cost(totals.cost)]);
  fill(place, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function matches(one, words) {
  if (words.length === 0) return true;
  const said = [one.id, one.model, one.state, state(one.state), one.name, one.key, one.user, one.question, one.answer];
  const text = said.filter(Boolean).map((part) => part.slice(0, 5000)).join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Bring the rows into this order and touch only what changes, so that focus and selection stay. */
function arrange(body, wanted) {
  const keep = new Set(wanted);
  for (const row of [...body.children]) if (!keep.has(row)) row.remove();
  wanted.forEach((row, at) => {
    if (body.children[at] !== row) body.insertBefore(row, body.children[at] ?? null);
  });
}

function makeRow({ id }) {
  const badge = h("span", { class: "state" });
  const link = h("a", { href: `#/requests/${encodeURIComponent(id)}`, dir: "auto" });
  const under = h("span", { class: "under" });
  const thought = h("span", { class: "thought", dir: "auto" });
  const number = (unit) => h("td", { class: "number", "data-unit": unit });
  const [tokens, calls, took, sure, agree] = ["tokens", "calls", "", "sure", "agree"].map(number);
  const at = h("td", { class: "number quiet" });
  const element = h("tr", {}, h("td", { class: "badge" }, badge),
    h("td", { class: "what" }, link, under, thought), tokens, calls, took, sure, agree, at);

  function update() {
    const one = requests.get(id);
    if (badge.dataset.state !== one.state) badge.dataset.state = one.state;
    say(badge, state(one.state));
    say(link, one.question ? firstLine(one.question) || "(no words)" : one.model);
    const answer = one.answer ? ["→ ", h("b", { dir: "auto" }, firstLine(one.answer, 60))] : null;
    const mark = one.thumb ? h("span", { class: "given" }, thumb(one.thumb),
      h("span", { class: "unseen" }, one.thumb > 0 ? "judged good" : "judged bad")) : null;
    const who = [one.name, one.user].filter(Boolean).map((name) => h("span", { dir: "auto" }, firstLine(name, 40)));
    fill(under, [one.question ? h("code", {}, one.model) : null, answer, ...who, mark].filter(Boolean).map(
      (part) => h("span", {}, part)));
    const counted = one.calls > 0 || !atWork(one); // until the end nobody knows
    say(tokens, short(counted ? one.prompt_tokens + one.completion_tokens : null));
    say(calls, count(counted ? one.calls : null));
    fill(sure, share(one.confidence));
    fill(agree, share(one.agreement));
    fill(at, h("time", { datetime: iso(one.at), title: moment(one.at) }, time(one.at)));
    tick();
    think();
  }
  function tick() {
    say(took, seconds(elapsed(requests.get(id))));
  }
  function think() {
    const line = atWork(requests.get(id)) ? [...gistsOf(id).values()].at(-1)?.lines.at(-1) : undefined;
    say(thought, line ? firstLine(line, 140) : "");
  }
  update();
  return { element, update, tick, think };
}

const share = (value) => (value === null ? h("span", { class: "none" }, "–") : [bar(value), percent(value)]);

function nothingYet({ overview }) {
  const model = overview()?.models[0] ?? "MODEL";
  const said = `{"model": "self_consistency(n=8)@${model}",\n       ` +
    `"messages": [{"role": "user", "content": "What is 17 + 25?"}]}`;
  const key = overview()?.me.login ? " \\\n  -H 'Authorization: Bearer nlrl_…'" : "";
  return empty("No request yet.", "Send one, and watch it here as it works:", h("pre", { tabindex: "0" },
    `curl ${location.origin}/v1/chat/completions -H 'Content-Type: application/json'${key} \\\n  -d '${said}'`));
}
