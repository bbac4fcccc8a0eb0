// #/spend: what every key has used, of what it may use, and on which days.

import { get } from "./api.js";
import { bar, empty, fill, h, say, svg } from "./dom.js";
import { cost, count, percent, short } from "./format.js";
import { swatch } from "./shares.js";

const MOST_DAYS = 30;
const MOST_KEYS = 7; // with a colour of their own; the rest share the last

/** Draw the view into `main`. */
export function show(main, context) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const place = h("div");
  fill(main, h("h1", { tabindex: "-1" }, "Spend"), wrong, place);
  get("spend").then(({ keys, days }) => {
    if (keys.length === 0 || keys.every((key) => key.requests === 0 && key.limit === null)) {
      fill(place, empty("Nothing was spent yet.", ["Every request counts here by its key. ",
        h("code", {}, "nlrl keys create NAME --tokens 1000000"), " makes a key with a limit."]));
      return;
    }
    const order = keys.toSorted((a, b) => tokens(b) - tokens(a));
    fill(place, drawKeys(order), days.length > 0 && drawDays(days, order));
  }, (error) => context.failed(error, (message) => say(wrong, message)));
}

const tokens = (key) => key.prompt_tokens + key.completion_tokens;
const colour = (order, id) => Math.min(MOST_KEYS, Math.max(0, order.findIndex((key) => key.key === id)));
const nameOf = (key) => key.name ?? (key.key === "-" ? "without a key" : key.key);

function drawKeys(order) {
  const priced = order.some((key) => key.cost);
  const number = (value, label) => h("td", { class: "number" }, h("span", { class: "label" }, label), value);
  return h("table", { class: "spend" },
    h("caption", { class: "unseen" }, "Spend by key"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Key"),
      ["Requests", "Failed", "Prompt tokens", "Written tokens", ...(priced ? ["Cost"] : [])].map(
        (name) => h("th", { scope: "col", class: "number" }, name)), h("th", { scope: "col" }, "Limit"))),
    h("tbody", {}, order.map((key) => h("tr", { class: key.revoked ? "revoked" : null },
      h("th", { scope: "row" }, swatch(colour(order, key.key)), h("span", { dir: "auto" }, nameOf(key)),
        key.name && h("code", {}, key.key),
        key.revoked && h("span", { class: "state", "data-state": "failed" }, "revoked")),
      number(count(key.requests), "requests"), number(count(key.failed), "failed"),
      number(count(key.prompt_tokens), "prompt tokens"), number(count(key.completion_tokens), "written tokens"),
      priced && number(cost(key.cost), "cost"), h("td", { class: "limit" }, limit(key))))));
}

function limit({ limit: most, used }) {
  if (most === null) return h("span", { class: "quiet" }, "no limit");
  const share = most > 0 ? used / most : 1;
  return [bar(share, share >= 1 ? "over" : share >= 0.8 ? "near" : ""),
    h("span", {}, `${short(used)} of ${short(most)} tokens (${percent(share)})`)];
}

function drawDays(days, order) {
  const all = [...new Set(days.map((one) => one.day))].sort().slice(-MOST_DAYS);
  const of = (day) => days.filter((one) => one.day === day);
  const sum = (day, what) => of(day).reduce((total, one) => total + one[what], 0);
  const most = Math.max(1, ...all.map((day) => sum(day, "tokens")));
  const name = (id) => nameOf(order.find((key) => key.key === id) ?? { key: id });
  return h("section", {}, h("h2", {}, "Tokens by day"),
    h("table", { class: "days" },
      h("thead", { class: "unseen" }, h("tr", {}, ["Day", "Share of each key", "Tokens", "Requests"].map(
        (title) => h("th", { scope: "col" }, title)))),
      h("tbody", {}, all.reverse().map((day) => h("tr", {}, h("th", { scope: "row" }, day),
        h("td", { class: "wide" }, stack(of(day), most, order),
          h("span", { class: "unseen" },
            of(day).map((one) => `${name(one.key)}: ${count(one.tokens)} tokens`).join(", "))),
        h("td", { class: "number" }, `${short(sum(day, "tokens"))} tokens`),
        h("td", { class: "number quiet" }, `${count(sum(day, "requests"))} requests`))))));
}

function stack(parts, most, order) {
  let x = 0;
  return svg("svg", { class: "whole", "aria-hidden": "true" }, parts.toSorted(
    (a, b) => colour(order, a.key) - colour(order, b.key)).map((one) => {
    const width = (one.tokens / most) * 100;
    const kind = `fill series-${colour(order, one.key)}`;
    const cut = svg("rect", { class: kind, x: `${x}%`, width: `${width}%`, height: "100%" });
    x += width;
    return cut;
  }));
}
