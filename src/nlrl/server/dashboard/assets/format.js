// Numbers, times and states in words, the same everywhere.

const whole = new Intl.NumberFormat("en");
const few = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345; "–" where nothing is known. */
export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));
/** 12.3K, for places that are short of room. */
export const short = (n) => (n === null || n === undefined ? "–" : n < 10000 ? whole.format(n) : compact.format(n));
/** 0.614 as 61 %. */
export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(share * 100)} %`);
/** 0.614 as 61.4 %. */
export const percent1 = (share) => (share === null || share === undefined ? "–" : `${(share * 100).toFixed(1)} %`);

/** 0.041 s, 3.2 s, 2 min 5 s. */
export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s >= 3600) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  if (s >= 60) return `${Math.floor(s / 60)} min${s % 60 >= 1 ? ` ${Math.floor(s % 60)} s` : ""}`;
  return s >= 10 ? `${s.toFixed(0)} s` : s >= 0.1 ? `${s.toFixed(1)} s` : `${Math.round(s * 1000)} ms`;
}

/** Money as the server's prices count it, which have no unit. */
export const cost = (sum) => (sum ? few.format(sum) : sum === 0 ? "0" : "–");

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** Seconds since 1970 as a time of today, or with its day. */
export function time(unix) {
  const then = new Date(unix * 1000);
  const today = then.toDateString() === new Date().toDateString();
  return today ? clock.format(then) : `${day.format(then)} ${clock.format(then).slice(0, 5)}`;
}
/** The same in full. */
export const moment = (unix) => full.format(new Date(unix * 1000));
/** For <time datetime>. */
export const iso = (unix) => new Date(unix * 1000).toISOString();

const STOPPED = {
  done: "it was done", settled: "the vote was settled", no_gain: "more would not have helped",
  tokens: "the budget of tokens was spent", calls: "the budget of calls was spent",
  seconds: "the time was over", flops: "the budget of FLOPs was spent", cost: "the money was spent",
};
/** Why a request stopped, in words. */
export const stopped = (why) => STOPPED[why] ?? why;

const STATES = { waiting: "waiting", running: "running", done: "done", failed: "failed", gone: "client left" };
/** A request's state in words. */
export const state = (name) => STATES[name] ?? name;

/** The first line of a text, for places that hold one. */
export function firstLine(text, most = 200) {
  const line = text.slice(0, 4 * most).trim().split("\n", 1)[0];
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
