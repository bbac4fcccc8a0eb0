// #/policy: what `auto` does: for each difficulty, the strategies worth their tokens, and from which budget on.

import { get } from "./api.js";
import { bar, empty, fill, h, say } from "./dom.js";
import { count, iso, moment, percent } from "./format.js";
import { swatch } from "./shares.js";

/** Draw the view into `main`. */
export function show(main, context) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const place = h("div");
  fill(main, h("h1", { tabindex: "-1" }, "Policy"),
    h("p", { class: "lead" }, "Which strategy ", h("code", {}, "auto"),
      " uses, by how hard a problem is and how much may be spent on it: the last one whose tokens the budget holds."),
    wrong, place);
  get("runs").then(({ policies }) => fill(place, policies.length ? policies.map(drawPolicy) : nothingYet()),
    (error) => context.failed(error, (message) => say(wrong, message)));
}

function drawPolicy(policy) {
  const families = [...new Set(policy.bins.flatMap((bin) => bin.budgets.map((one) => family(one.strategy))))];
  const made = Date.parse(policy.made) / 1000;
  return h("section", {},
    h("h2", { dir: "auto" }, policy.name),
    h("p", { class: "quiet" }, "Measured on ", h("b", {}, policy.model),
      made ? [", ", h("time", { datetime: iso(made) }, moment(made))] : null, "."),
    h("table", { class: "policy" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Chance that one attempt is right"),
        h("th", { scope: "col", class: "number" }, "From"), h("th", { scope: "col" }, "Strategy"),
        h("th", { scope: "col" }, "Accuracy"), h("th", { scope: "col", class: "number" }, "95 % interval"))),
      policy.bins.map((bin) => h("tbody", {}, steps(bin).map((one, row, all) => h("tr", {},
        row === 0 && h("th", { scope: "rowgroup", rowspan: all.length }, bin.difficulty,
          h("span", { class: "quiet" }, `${count(bin.problems)} problems`)),
        h("td", { class: "number" }, `${count(Math.round(one.tokens))} tokens`),
        h("td", {}, swatch(families.indexOf(family(one.strategy))), h("code", {}, one.strategy)),
        h("td", { class: "share" }, bar(one.accuracy), percent(one.accuracy)),
        h("td", { class: "number quiet" }, `${percent(one.low).replace(" %", "")} – ${percent(one.high)}`)))))));
}

/** A bin's ways to spend, each once: under several caps one may have been measured to cost the same. */
const steps = (bin) => bin.budgets.filter((one, at) => at === 0 || one.strategy !== bin.budgets[at - 1].strategy ||
  Math.round(one.tokens) !== Math.round(bin.budgets[at - 1].tokens));

const family = (strategy) => strategy.split("(", 1)[0];

const nothingYet = () => empty("No policy here yet.",
  ["Run ", h("code", {}, "nlrl calibrate --data FILE"),
    ": it measures on your problems which strategy is worth its tokens."],
  ["The server looks for policies in ./runs; ", h("code", {}, "nlrl serve --runs DIR"), " names another folder."]);
