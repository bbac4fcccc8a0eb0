// What the page knows of requests: summaries as they change, and the gists of those at work.
//
// Events may come by the thousand. They only change these maps; whoever watches is told once a frame what has changed.
// What is held is bounded, per attempt, per request and in all, so a page that stays open for a week does not grow.

import { eachFrame } from "./dom.js";

export const MOST_LINES = 300; // of one attempt
const MOST_CHARS = 20_000; // of one attempt
const MOST_LINE = 1_000; // characters of one line
const MOST_ATTEMPTS = 500; // of one request
const MOST_IN_ALL = 8_000_000; // characters of gists
const MOST_REQUESTS = 2_000;

/** Summaries by id. */
export const requests = new Map();
/** When each summary came, by this page's clock: a running request's time goes on from there. */
export const seen = new Map();
const gists = new Map(); // id -> { chars, attempts: Map(attempt -> { lines, chars, count }) }
const watchers = new Set();
let changed = { requests: new Set(), gists: new Map() };
let held = 0;

/** Call `watcher({requests: Set(id), gists: Map(id -> Set(attempt))})` once a frame while things change. */
export function watch(watcher) {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

const tell = eachFrame(() => {
  const news = changed;
  changed = { requests: new Set(), gists: new Map() };
  for (const watcher of watchers) watcher(news);
});

/** A summary that came from the server. */
export function put(summary) {
  requests.set(summary.id, summary);
  seen.set(summary.id, performance.now());
  if (requests.size > MOST_REQUESTS) drop(oldest());
  changed.requests.add(summary.id);
  tell();
}

function oldest() {
  let found = null;
  for (const one of requests.values()) if (found === null || one.at < found.at) found = one;
  return found.id;
}

function drop(id) {
  requests.delete(id);
  seen.delete(id);
  forget(id);
}

/** Forget every summary: there may be a gap between them and what comes next. */
export function forgetAll() {
  for (const id of [...requests.keys()]) drop(id);
}

/** Whether it is still at work. */
export const atWork = (summary) => summary.state === "running" || summary.state === "waiting";

/** How long a request has taken by now. */
export function elapsed(summary) {
  const since = atWork(summary) ? (performance.now() - seen.get(summary.id)) / 1000 : 0;
  return summary.seconds + since;
}

/** A line that an attempt has written. */
export function gist({ id, attempt, text }) {
  let request = gists.get(id);
  if (!request) gists.set(id, (request = { chars: 0, attempts: new Map() }));
  let one = request.attempts.get(attempt);
  if (!one) {
    if (request.attempts.size >= MOST_ATTEMPTS) return;
    request.attempts.set(attempt, (one = { lines: [], chars: 0, count: 0 }));
  }
  const line = text.length > MOST_LINE ? `${text.slice(0, MOST_LINE)}…` : text;
  one.lines.push(line);
  one.count += 1;
  let grown = line.length;
  while (one.lines.length > MOST_LINES || one.chars + grown > MOST_CHARS) grown -= one.lines.shift().length;
  one.chars += grown;
  request.chars += grown;
  held += grown;
  for (const first of gists.keys()) {
    if (held <= MOST_IN_ALL || first === id) break;
    forget(first);
  }
  if (!changed.gists.has(id)) changed.gists.set(id, new Set());
  changed.gists.get(id).add(attempt);
  tell();
}

function forget(id) {
  held -= gists.get(id)?.chars ?? 0;
  gists.delete(id);
}

/** The attempts of a request that have written something: Map(attempt -> {lines, count}), of `count` lines the last. */
export const gistsOf = (id) => gists.get(id)?.attempts ?? new Map();
