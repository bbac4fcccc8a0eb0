// Builds the page without ever parsing HTML: whatever comes from the server goes in as a text node or an attribute's
// value, so that a hostile question stays a piece of text.
//
//     h("a", { href: "#/requests", class: "quiet" }, "Requests ", h("b", {}, 12))

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Functions among the attributes are listeners; null, undefined and false leave one out. */
export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG. */
export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Put `children` in the place of what `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren(...flat(children));
  return element;
}

/** Set the text of an element only if it is another: assistive technology and the eye stay undisturbed. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Calls of the returned function are gathered into one call of `work` at the next frame. */
export function eachFrame(work) {
  let asked = 0;
  return () => {
    asked ||= requestAnimationFrame(() => {
      asked = 0;
      work();
    });
  };
}

/** A bar of the given share (0 to 1), as wide as its place; the number beside it is what is read aloud. */
export function bar(share, kind = "") {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return svg("svg", { class: `meter ${kind}`, "aria-hidden": "true" },
    svg("rect", { class: "rail", width: "100%", height: "100%", rx: 3 }),
    svg("rect", { class: "level", width, height: "100%", rx: 3 }));
}

const THUMB = "M7 21H4V10h3m0 11V10l4-8c1.7 0 2.6 1.3 2.6 2.7V9h5.1c1.3 0 2.2 1.2 1.9 2.4l-1.8 7.8" +
  "c-.2 1-1.1 1.8-2.2 1.8z";

/** A thumb, up (1) or down (-1). */
export function thumb(way) {
  return svg("svg", { class: way > 0 ? "thumb" : "thumb down", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: THUMB }));
}

/** What is shown where there is nothing yet: what it would be, and the next step. */
export function empty(title, ...next) {
  return h("div", { class: "empty" }, h("p", { class: "title" }, title), next.map((one) => h("p", {}, one)));
}
