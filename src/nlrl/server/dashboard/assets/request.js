// #/requests/ID: one request opened: question, answer, what it cost, and the tree of its attempts, live while it works.

import { get, post } from "./api.js";
import { bar, fill, h, say, thumb } from "./dom.js";
import { cost, count, firstLine, iso, moment, percent, seconds, state, stopped } from "./format.js";
import { shares } from "./shares.js";
import { atWork, elapsed, put, requests, watch } from "./store.js";
import { attemptTree, longText } from "./tree.js";

const TITLE = 160; // characters
const LONG = 1500; // characters of a message that are shown before the reader asks for all of it

/** Draw the view into `main`; returns what ends it. */
export function show(main, context, id) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const title = h("h1", { tabindex: "-1", dir: "auto" }, `Request ${firstLine(id, 60)}`);
  const head = h("p", { class: "standing" });
  const [facts, answer, conversation, votes, phases, attempts, notes] = Array.from({ length: 7 }, () => h("section"));
  fill(main, h("p", { class: "back" }, h("a", { href: "#/requests" }, "← Requests")), title, head, wrong,
    h("div", { class: "columns" },
      h("div", {}, conversation, answer, attempts), h("div", {}, facts, votes, phases, notes)));
  const place = h("div");
  const tree = attemptTree(place, id);
  fill(attempts, h("h2", {}, "Attempts"), place);
  const took = h("span");
  let request = null;

  async function load() {
    try {
      request = await get(`requests/${encodeURIComponent(id)}`);
    } catch (error) {
      context.failed(error, (message) => say(wrong, message));
      return;
    }
    say(wrong, "");
    put(summaryOf(request));
    request.noTexts = noTexts(context.overview()?.texts);
    draw();
  }

  function draw() {
    const working = atWork(request);
    say(title, request.question ? firstLine(request.question, TITLE) || "(no words)" : request.model);
    document.title = `${title.textContent} · nlrl`;
    fill(head, h("span", { class: "state", "data-state": request.state }, state(request.state)),
      h("code", {}, request.model), took, h("time", { datetime: iso(request.at) }, moment(request.at)));
    tick();
    drawFacts(facts, request);
    drawAnswer(answer, request, working);
    drawConversation(conversation, request);
    drawVotes(votes, request);
    drawPhases(phases, request);
    tree.draw(request, working);
    attempts.hidden = request.attempts.length === 0 && !working; // passed through: the answer is all there is
    fill(notes, request.notes.length > 0 && [h("h2", {}, "Notes"),
      h("ul", { class: "notes" }, request.notes.map((note) => h("li", { dir: "auto" }, note)))]);
  }

  function drawAnswer(section, one, working) {
    const parts = [h("h2", {}, "Answer")];
    if (one.error) parts.push(h("p", { class: "bad" }, one.error));
    if (one.answer && one.answer !== one.text) {
      parts.push(h("p", { class: "value", dir: "auto" }, firstLine(one.answer, 400)));
    }
    if (one.text !== null) parts.push(longText(one.text || "(an empty text)", "The answer's text"));
    else if (working) parts.push(h("p", { class: "quiet" }, "Still at work."));
    else if (!one.error && !one.answer) parts.push(h("p", { class: "quiet" }, one.noTexts));
    if (one.state === "done") parts.push(thumbs(one));
    fill(section, parts);
  }

  function thumbs(one) {
    const button = (way, name) => h("button", {
      type: "button", class: "judge", "aria-pressed": String(one.thumb === way), "data-way": way,
      onclick: () => judge(one.thumb === way ? 0 : way, one.reference),
    }, thumb(way), name);
    const right = h("input", {
      id: "reference", autocomplete: "off", maxlength: 10000, value: one.reference ?? "", dir: "auto",
    });
    const keep = (event) => {
      event.preventDefault();
      judge(-1, right.value.trim() || null);
    };
    return h("div", { class: "judgement", role: "group", "aria-label": "Your judgement of the answer" },
      button(1, "Good"), button(-1, "Bad"),
      one.thumb === -1 && h("form", { onsubmit: keep },
        h("label", { for: "reference" }, "The right answer, if you know it"), right,
        h("button", { type: "submit" }, "Keep")),
      h("span", { class: "quiet" }, "Kept as a label for the next calibration."));
  }

  async function judge(way, reference) {
    try {
      const summary = await post(`api/requests/${encodeURIComponent(id)}/feedback`, { thumb: way, reference });
      put(summary);
      request = { ...request, thumb: summary.thumb, reference: summary.reference };
      const focused = document.activeElement?.dataset.way ?? String(way);
      drawAnswer(answer, request, false);
      answer.querySelector(`[data-way="${focused}"]`)?.focus();
      context.announce(way ? `Stored: the answer is ${way > 0 ? "good" : "bad"}.` : "Your judgement was taken back.");
    } catch (error) {
      context.failed(error, (message) => say(wrong, message));
    }
  }

  function tick() {
    const one = requests.get(id);
    if (one) say(took, seconds(elapsed(one)));
  }

  function news({ requests: changed, gists }) {
    if (request === null) return;
    const known = changed.has(id) && requests.get(id);
    if (known && known.state !== request.state) load();
    else if (gists.has(id) && !tree.write(gists.get(id))) tree.draw(request, atWork(request));
  }

  const ticking = setInterval(tick, 500);
  const endWatch = watch(news);
  const endLive = context.onLive(load);
  load();
  return () => {
    clearInterval(ticking);
    endWatch();
    endLive();
  };
}

const SUMMARY = ["id", "at", "key", "name", "user", "model", "strategy", "state", "status", "seconds", "prompt_tokens",
  "completion_tokens", "calls", "cost", "stopped", "confidence", "agreement", "thumb", "reference", "question",
  "answer"];
const summaryOf = (request) => Object.fromEntries(SUMMARY.map((name) => [name, request[name]]));

function noTexts(policy) {
  if (policy === "none") return "Texts are not kept on this server; start it with --texts live to see them here.";
  if (policy === "live") return "This text is no longer in memory; --texts keep makes the server store texts too.";
  return "No text was kept of this.";
}

function drawFacts(section, one) {
  const share = (value) => value === null ? null : [bar(value), ` ${percent(value)}`];
  const limits = Object.entries(one.budget ?? {}).filter(([, most]) => most !== null)
    .map(([name, most]) => (name === "seconds" ? seconds(most) : `${count(most)} ${name}`));
  const counted = one.calls > 0 || !atWork(one); // until the end nobody knows
  const rows = [
    ["Strategy", one.strategy && h("code", {}, one.strategy)],
    ["Kind of problem", one.task],
    ["Tokens", counted && `${count(one.prompt_tokens)} prompt + ${count(one.completion_tokens)} written`],
    ["Of these estimated", one.estimated_tokens ? count(one.estimated_tokens) : null],
    ["Longest chain", one.critical_path_tokens === null ? null : `${count(one.critical_path_tokens)} tokens`],
    ["Calls", counted && count(one.calls)],
    ["Cost", one.cost ? cost(one.cost) : null],
    ["Confidence", share(one.confidence)],
    ["Agreement", share(one.agreement)],
    ["Stopped because", one.stopped && stopped(one.stopped)],
    ["Budget", limits.map((text) => text.replaceAll(" ", "\u00a0")).join(", ")],
    ["Key", one.key === "-" ? null : [h("span", { dir: "auto" }, firstLine(one.name ?? "", 60)), " ",
      h("code", {}, one.key)]],
    ["User", one.user && firstLine(one.user, 80)],
    ["Status", one.status >= 400 ? one.status : null],
    ["Id", h("code", {}, one.id)],
  ];
  fill(section, h("h2", {}, "Facts"), h("dl", { class: "rows" }, rows.filter(([, value]) => value).map(
    ([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
}

function drawConversation(section, one) {
  const said = one.messages;
  if (said === null) {
    fill(section, h("h2", {}, "Question"), h("p", { class: "quiet" }, one.noTexts));
    return;
  }
  const [first] = said;
  if (said.length === 1 && first.content === firstLine(first.content, TITLE)) return void fill(section); // is the title
  const last = said.findLastIndex((message) => message.role === "user");
  fill(section, h("h2", {}, said.length > 1 ? "Conversation" : "Question"), said.map((message, at) =>
    h("div", { class: `message ${message.role === "user" ? "user" : "other"}` },
      said.length > 1 && h("p", { class: "role" }, message.role), words(message.content, at === last))));
}

/** A message's words; a long one is cut until the reader asks for all of it. */
function words(content, isQuestion) {
  const text = typeof content === "string" ? content : JSON.stringify(content, null, 1) ?? "";
  const place = h("div");
  const most = isQuestion ? LONG : LONG / 3;
  const whole = () => fill(place, longText(text, "The whole message"));
  if (text.length <= most) return fill(place, h("p", { class: "words", dir: "auto" }, text));
  return fill(place, h("p", { class: "words", dir: "auto" }, `${text.slice(0, most)}…`),
    h("button", { type: "button", class: "small", onclick: () => { whole(); place.firstChild.focus(); } },
      `Show all ${count(text.length)} characters`));
}

/** Which answers the attempts came to, and how many of them came to each. */
function drawVotes(section, one) {
  const votes = new Map();
  for (const { answer } of one.attempts) if (answer !== null) votes.set(answer, (votes.get(answer) ?? 0) + 1);
  const all = one.attempts.filter((attempt) => attempt.answer !== null).length;
  if (all < 2) return void fill(section);
  const most = [...votes].sort((a, b) => b[1] - a[1]);
  const rest = most.slice(8).reduce((sum, [, n]) => sum + n, 0);
  fill(section, h("h2", {}, "What the attempts say"), h("ul", { class: "votes" },
    most.slice(0, 8).map(([text, n]) => h("li", {}, h("span", { dir: "auto" }, firstLine(text, 80)),
      bar(n / all, text === one.answer ? "strong" : ""),
      h("span", { class: "number" }, `${count(n)} of ${count(all)}`))),
    rest > 0 && h("li", { class: "quiet" }, `${count(rest)} say something else again`)));
}

const PHASES = { sleep: "beforehand", probe: "looking at the difficulty", sample: "attempts", verify: "checking" };

function drawPhases(section, one) {
  const spent = Object.entries(one.phases ?? {}).map(([name, use]) => ({
    name: PHASES[name] ?? name,
    value: (use.prompt_tokens ?? 0) + (use.completion_tokens ?? 0),
    more: `${count(use.calls ?? 0)} calls`,
  })).filter((phase) => phase.value > 0);
  if (spent.length === 0) return void fill(section);
  fill(section, h("h2", {}, "Where the tokens went"), shares(spent, "tokens"));
}
