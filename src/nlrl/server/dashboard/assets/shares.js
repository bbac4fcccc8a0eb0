// A bar cut into parts, with a legend that says the same in numbers.

import { h, svg } from "./dom.js";
import { count, percent } from "./format.js";

/** parts: [{name, value, more}] */
export function shares(parts, unit) {
  const all = parts.reduce((sum, part) => sum + part.value, 0);
  let x = 0;
  const cuts = parts.map((part, at) => {
    const width = (part.value / all) * 100;
    const cut = svg("rect", { class: `fill series-${at % 8}`, x: `${x}%`, width: `${width}%`, height: "100%" });
    x += width;
    return cut;
  });
  return h("div", { class: "shares" },
    svg("svg", { class: "whole", "aria-hidden": "true" }, cuts),
    h("ul", {}, parts.map((part, at) => h("li", {}, swatch(at), h("span", {}, part.name),
      h("span", { class: "number" },
        `${count(part.value)} ${unit} · ${percent(part.value / all)} · ${part.more}`)))));
}

/** The colour of the series number `at`. */
export function swatch(at) {
  return svg("svg", { class: "swatch", viewBox: "0 0 10 10", "aria-hidden": "true" },
    svg("rect", { class: `fill series-${at % 8}`, width: 10, height: 10, rx: 3 }));
}
