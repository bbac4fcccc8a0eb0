// The dashboard: chooses a view by the address after #, and keeps the header and the live connection.
//
// A view is a module with show(main, context, ...parts of the address) that draws itself and returns what ends it.

import { get, listen, post } from "./api.js";
import { eachFrame, fill, h, say } from "./dom.js";
import { count, firstLine, state } from "./format.js";
import { atWork, gist, put, requests, watch } from "./store.js";
import * as curves from "./curves.js";
import * as policy from "./policy.js";
import * as requestView from "./request.js";
import * as requestsView from "./requests.js";
import * as spend from "./spend.js";

const OVERVIEW_MS = 2000; // at most so often, while requests come and go
const ANNOUNCE_MS = 3000;
const VIEWS = { requests: requestsView, curves, policy, spend };

const main = document.getElementById("main");
const live = document.getElementById("live");
const said = document.getElementById("said");
let overview = null;
const overviewWatchers = new Set();
const liveWatchers = new Set();

/** What the views may ask of the page. */
const context = {
  overview: () => overview,
  onOverview(watcher) {
    overviewWatchers.add(watcher);
    if (overview) watcher(overview);
    return () => overviewWatchers.delete(watcher);
  },
  /** Called when the connection is back after a break: what happened meanwhile has to be asked for. */
  onLive(watcher) {
    liveWatchers.add(watcher);
    return () => liveWatchers.delete(watcher);
  },
  announce: (text) => say(said, text),
  failed,
  kept: null, // the id of the control that led to this address, if it is to keep the focus
};

// --- views

let end = null;
const scrolled = new Map();
let address = "";

function route() {
  if (location.hash && !location.hash.startsWith("#/")) return; // a place in the page, not a view
  scrolled.set(address, scrollY);
  const first = end === null;
  address = location.hash || "#/requests";
  const [name, ...parts] = address.slice(2).split("/").map(decoded);
  const view = name === "requests" && parts.length ? requestView : VIEWS[name] ?? requestsView;
  end?.();
  context.kept = document.activeElement?.tagName === "SELECT" ? document.activeElement.id : null;
  end = view.show(main, context, ...parts) ?? (() => {});
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#/${view === requestView ? "requests" : name}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = main.querySelector("h1");
  document.title = `${title.textContent} · nlrl`;
  if (!first && !context.kept) title.focus({ preventScroll: true });
  scrollTo(0, (view === requestsView && scrolled.get(address)) || 0);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a stray % in an address that somebody typed
  }
}

/** Show a failure: in words at `place`; without a valid key, as a way back to the door. */
function failed(error, place) {
  if (error.status === 0 && !error.message) throw error;
  if (error.status === undefined) throw error; // a bug, for the console
  if (error.status === 401) refused(error.message);
  else place(error.message);
}

function refused(message) {
  end?.();
  end = () => {};
  fill(main, h("h1", { tabindex: "-1" }, "You are logged out"), h("p", {}, message),
    h("p", {}, h("a", { class: "button", href: location.pathname, onclick: (event) => {
      event.preventDefault();
      location.reload();
    } }, "Log in again")));
  main.querySelector("h1").focus();
}

// --- the header

async function look() {
  try {
    overview = await get("overview");
  } catch (error) {
    failed(error, () => {}); // the sign of the connection says it
    return;
  }
  drawHeader();
  for (const watcher of overviewWatchers) watcher(overview);
}

function drawHeader() {
  const { version, models, running, waiting, me } = overview;
  const more = models.length > 2 ? ` and ${models.length - 2} more` : "";
  const place = document.getElementById("server");
  if (!place.firstChild) {
    const out = me.login && h("button", { type: "button", class: "small", onclick: leave }, "Log out");
    fill(place, h("span", {}, `v${version}`),
      h("span", { class: "models", title: models.join(", ") }, models.slice(0, 2).join(", ") + more),
      h("span", { class: "load" }), me.login && h("span", { dir: "auto" }, firstLine(me.name ?? me.key, 40)), out);
  }
  say(place.querySelector(".load"), `${count(running)} running, ${count(waiting)} waiting`);
}

async function leave() {
  await post("logout", {}).catch(() => null); // without its server there is nothing to be logged in to
  location.replace(location.pathname);
}

// --- live

let looked = 0;
let soon = 0;
function lookSoon() {
  if (soon) return;
  soon = setTimeout(() => {
    soon = 0;
    looked = performance.now();
    look();
  }, Math.max(0, OVERVIEW_MS - (performance.now() - looked)));
}

const told = new Map(); // id -> the state that was last announced or known
let ended = [];
watch(({ requests: changed }) => {
  for (const id of changed) {
    const one = requests.get(id);
    if (!one || told.get(id) === one.state) continue;
    if (told.has(id) && !atWork(one)) ended.push(one);
    told.set(id, one.state);
  }
  for (const id of told.keys()) if (!requests.has(id)) told.delete(id);
});
setInterval(() => {
  const [one] = ended;
  if (ended.length === 1) context.announce(`${firstLine(one.question ?? one.model, 60)}: ${state(one.state)}`);
  else if (ended.length > 1) context.announce(`${ended.length} requests ended`);
  ended = [];
}, ANNOUNCE_MS);

let broken = false;
listen({
  request: (summary) => { put(summary); lookSoon(); },
  gist,
}, (how) => {
  live.dataset.state = how;
  say(live, how === "refused" ? "logged out" : how);
  if (how === "refused") look();
  if (how === "live" && broken) {
    look();
    for (const watcher of liveWatchers) watcher();
  }
  broken = how !== "live";
});

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // an address of ours is a view
  main.focus();
});
addEventListener("hashchange", eachFrame(route));
look();
route();
