// Accuracy against tokens as an SVG: the logarithm of the tokens to the right, intervals as bands, names at the lines.

import { svg } from "./dom.js";
import { percent, short as brief } from "./format.js";

const ROOM_FOR_NAMES = 620; // pixels; a narrower chart has a legend beneath instead
const MOST_LETTERS = 26;
const FAR = 160; // pixels from a curve's end to the margin: its name stands at the end instead
const MARKS = [
  "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0", "M-3.2-3.2h6.4v6.4h-6.4z", "M0-4.4L4-.2 0 4-4-.2z",
  "M0-4l4 7h-8z", "M0 4l4-7h-8z", "M-4 0h8M0-4v8", "M-3-3l6 6M3-3l-6 6", "M-4-1.5h8v3h-8z",
];

/** Whether a chart of this width names its lines itself. */
export const namesItsLines = (width) => width >= ROOM_FOR_NAMES;

/** curves: [{strategy, points: [{n, tokens, accuracy, low, high}]}] with positive tokens; width in pixels. */
export function lineChart(curves, width, description) {
  const named = namesItsLines(width);
  const height = Math.round(Math.min(440, Math.max(260, width * 0.52)));
  const longest = Math.max(...curves.map((curve) => Math.min(MOST_LETTERS, curve.strategy.length)));
  const room = { left: 46, right: named ? 24 + 7.2 * longest : 14, top: 14, bottom: 46 };
  const points = curves.flatMap((curve) => curve.points);
  const x = logScale(points.map((point) => point.tokens), room.left + 8, width - room.right - 6);
  const y = shareScale(points.flatMap((point) => [point.low, point.high]), height - room.bottom, room.top);
  const floor = height - room.bottom;
  const ends = curves.map((curve) => y.at(curve.points.at(-1).accuracy));
  const names = spread(ends, 17, room.top, floor).map((at) => (named ? { x: width - room.right + 14, y: at } : null));
  const box = { width, height, viewBox: `0 0 ${width} ${height}` };
  return svg("svg", { class: "chart", ...box, role: "img", "aria-label": description },
    svg("g", { class: "grid" },
      y.ticks.map((tick) => [
        svg("line", { x1: room.left, x2: width - room.right, y1: y.at(tick), y2: y.at(tick) }),
        svg("text", { x: room.left - 8, y: y.at(tick) + 4, class: "end" }, percent(tick)),
      ]),
      x.ticks.map((tick) => [
        svg("line", { class: "tick", x1: x.at(tick), x2: x.at(tick), y1: floor, y2: floor + 5 }),
        svg("text", { x: x.at(tick), y: floor + 20, class: "middle" }, brief(tick)),
      ]),
      svg("text", { class: "middle axis", x: (room.left + width - room.right) / 2, y: height - 6 },
        "tokens a problem (logarithmic)")),
    curves.map((curve, at) => drawCurve(curve, at, curves.length, x, y, names[at])));
}

function drawCurve(curve, at, of, x, y, name) {
  const aside = (at - (of - 1) / 2) * 3; // whiskers of curves at the same tokens stand side by side
  const spots = curve.points.map((point) => ({ ...point, x: x.at(point.tokens), y: y.at(point.accuracy) }));
  const path = (line) => line.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L");
  const upper = spots.map((spot) => [spot.x, y.at(spot.high)]);
  const lower = spots.map((spot) => [spot.x, y.at(spot.low)]).reverse();
  const last = spots.at(-1);
  const short = letters(curve.strategy);
  return svg("g", { class: `curve series-${at % 8}` },
    svg("title", {}, curve.strategy),
    svg("path", { class: "band", d: `M${path([...upper, ...lower])}Z` }),
    spots.map((spot) => svg("line", {
      class: "whisker", x1: spot.x + aside, x2: spot.x + aside, y1: y.at(spot.low), y2: y.at(spot.high),
    })),
    svg("path", { class: at < 8 ? "line" : "line dashed", d: `M${path(spots.map((spot) => [spot.x, spot.y]))}` }),
    spots.map((spot) => svg("path", {
      class: "mark", d: MARKS[at % MARKS.length], transform: `translate(${spot.x} ${spot.y})`,
    },
      svg("title", {}, `${curve.strategy}${spot.n ? `, n = ${spot.n}` : ""}: ${percent(spot.accuracy)} ` +
        `[${percent(spot.low)} to ${percent(spot.high)}] at ${brief(Math.round(spot.tokens))} tokens`))),
    name && (name.x - last.x > FAR ? svg("text", { class: "name", x: last.x + 12, y: last.y + 4 }, short) : [
      svg("path", { class: "leader", d: `M${last.x + 7} ${last.y}L${name.x - 4} ${name.y}` }),
      svg("text", { class: "name", x: name.x, y: name.y + 4 }, short),
    ]));
}

const letters = (text) => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text);

function logScale(values, from, to) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (high < 1.2 * low) [low, high] = [low / 1.5, high * 1.5];
  const at = (value) => from + (Math.log(value / low) / Math.log(high / low)) * (to - from);
  const powers = Array.from({ length: 12 }, (_, power) => 10 ** power);
  const choices = [[1, 1.5, 2, 3, 4, 5, 6, 8], [1, 2, 3, 5], [1, 2, 5], [1, 3], [1]].map((digits) =>
    powers.flatMap((power) => digits.map((digit) => digit * power))
      .filter((tick) => tick >= low * 0.999 && tick <= high * 1.001));
  const apart = (list) => list.every((tick, i) => i === 0 || at(tick) - at(list[i - 1]) >= 48);
  const ticks = choices.find(apart) ?? [];
  return { at, ticks: ticks.length < 2 ? [Math.round(low), Math.round(high)] : ticks };
}

function shareScale(values, from, to) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const step = most - least > 0.5 ? 0.2 : most - least > 0.2 ? 0.1 : 0.05;
  const low = Math.max(0, Math.floor(least / step + 1e-9) * step);
  const high = Math.min(1, Math.max(low + step, Math.ceil(most / step - 1e-9) * step));
  const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => Math.min(1, low + i * step));
  return { at: (value) => from + ((value - low) / (high - low)) * (to - from), ticks };
}

/** Heights near the wanted ones, at least `gap` apart, within top and bottom as far as there is room. */
function spread(wanted, gap, top, bottom) {
  const order = wanted.map((_, at) => at).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [];
  let least = top;
  for (const at of order) {
    placed[at] = Math.max(least, wanted[at]);
    least = placed[at] + gap;
  }
  let most = bottom;
  for (const at of order.reverse()) {
    placed[at] = Math.min(most, placed[at]);
    most = placed[at] - gap;
  }
  return placed;
}
