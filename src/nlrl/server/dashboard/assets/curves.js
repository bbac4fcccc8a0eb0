// #/curves/RUN/TASK: accuracy against tokens of a benchmark run, as a chart and as a table with the same numbers.

import { get } from "./api.js";
import { lineChart, namesItsLines } from "./chart.js";
import { empty, fill, h, say } from "./dom.js";
import { count, iso, percent1, time } from "./format.js";
import { swatch } from "./shares.js";

const PANEL = {
  pass: "any of n is right", majority: "majority of n", best: "best of n by score", weighted: "vote of n weighted by score",
};

/** Draw the view into `main`; returns what ends it. */
export function show(main, context, name, task) {
  const wrong = h("p", { class: "wrong", role: "alert" });
  const choice = h("div", { class: "choices" });
  const place = h("div", { class: "figure" });
  const below = h("div");
  fill(main, h("h1", { tabindex: "-1" }, "Accuracy against tokens"), wrong, choice, place, below);
  let redraw = () => {};
  const sizes = new ResizeObserver(() => redraw());
  sizes.observe(place);

  async function load() {
    try {
      const { runs } = await get("runs");
      if (runs.length === 0) {
        fill(place, empty("No benchmark run here yet.",
          ["Measure a model on your problems, and its curves appear: ", h("code", {}, "nlrl bench problems.jsonl")],
          ["The server looks for runs in ./runs; ", h("code", {}, "nlrl serve --runs DIR"), " names another folder."]));
        return;
      }
      const run = runs.find((one) => one.name === name) ?? runs.toSorted((a, b) => b.at - a.at)[0];
      const { curves } = await get(`runs/${encodeURIComponent(run.name)}`);
      const tasks = [...new Set(curves.map((curve) => curve.task))];
      const chosen = tasks.includes(task) ? task : tasks[0];
      choose(runs, run, tasks, chosen);
      draw(run, curves.filter((curve) => curve.task === chosen && curve.points.length > 0));
    } catch (error) {
      context.failed(error, (message) => say(wrong, message));
    }
  }

  function choose(runs, run, tasks, chosen) {
    const go = (toRun, toTask) => {
      location.hash = `#/curves/${encodeURIComponent(toRun)}/${encodeURIComponent(toTask)}`;
    };
    const list = (id, label, values, now, changed) => h("div", {}, h("label", { for: id }, label),
      h("select", { id, onchange: (event) => changed(event.target.value) },
        values.map(([value, text]) => h("option", { value, selected: value === now }, text))));
    fill(choice,
      list("run", "Run", runs.map((one) => [one.name, one.name]), run.name, (value) => go(value, "all")),
      list("task", "Problems", tasks.map((one) => [one, one]), chosen, (value) => go(run.name, value)),
      h("p", { class: "quiet" }, h("b", {}, run.model), `, ${count(run.problems)} problems, `,
        h("time", { datetime: iso(run.at) }, time(run.at))));
    // choosing leads to another address and so to a new page: the reader stays where the choice was made
    if (context.kept) document.getElementById(context.kept)?.focus();
  }

  function draw(run, curves) {
    const usable = curves.map((curve) => ({
      ...curve,
      strategy: PANEL[curve.strategy] ?? curve.strategy,
      points: curve.points.filter((point) => point.tokens > 0),
    }))
      .filter((curve) => curve.points.length > 0);
    if (usable.length === 0) {
      fill(place, empty("This run has no finished problems yet.",
        "Let it go on; running the same command again resumes it."));
      return;
    }
    const best = usable.flatMap((curve) => curve.points.map((point) => [point.accuracy, curve.strategy]))
      .sort((a, b) => b[0] - a[0])[0];
    const words = `Accuracy against tokens of ${usable.length} strategies on ${run.model}; the highest is ` +
      `${best[1]} with ${percent1(best[0])}. The table below has all numbers.`;
    let drawn = 0;
    redraw = () => {
      const width = Math.floor(place.clientWidth);
      if (width === drawn || width === 0) return;
      drawn = width;
      fill(place, lineChart(usable, width, words), !namesItsLines(width) && h("ul", { class: "legend" },
        usable.map((curve, at) => h("li", {}, swatch(at), curve.strategy))));
    };
    redraw();
    const number = (text, unit) => h("td", { class: "number", "data-unit": unit }, text);
    fill(below, h("h2", {}, "The same in numbers"), h("table", { class: "numbers" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Strategy"),
        ["n", "Tokens", "Accuracy", "95 % interval"].map((title) =>
          h("th", { scope: "col", class: "number" }, title)))),
      usable.map((curve, at) => h("tbody", {}, curve.points.map((point, row) => h("tr", {},
        row === 0 && h("th", { scope: "rowgroup", rowspan: curve.points.length }, swatch(at), curve.strategy),
        number(count(point.n)), number(count(Math.round(point.tokens))), number(percent1(point.accuracy)),
        number(`${percent1(point.low).replace(" %", "")} – ${percent1(point.high)}`)))))));
  }

  load();
  return () => sizes.disconnect();
}
