// Elements made from names and texts. No text ever becomes markup: there is no innerHTML in these scripts,
// and the page's policy would refuse it.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element from a name with classes ("p.aside"), attributes if a plain object comes next, and children.
 *
 * Attributes that are null, undefined or false are left out, true ones are empty; functions are listeners ("onclick").
 * Children are nodes, texts, numbers, or arrays of these; null, undefined and false are passed over.
 */
function element(selector, ...rest) {
  const [name, ...classes] = selector.split(".");
  const attributes = isPlain(rest[0]) ? rest.shift() : {};
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) setAttribute(made, key, value);
  if (classes.length) made.classList.add(...classes);
  append(made, rest);
  return made;
}

function isPlain(value) {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function isAbsent(value) {
  return value === null || value === undefined || value === false;
}

function setAttribute(made, key, value) {
  if (typeof value === "function") made.addEventListener(key.slice(2), value);
  else if (!isAbsent(value)) made.setAttribute(key, value === true ? "" : value);
}

function append(parent, children) {
  for (const child of children.flat(Infinity)) if (!isAbsent(child)) parent.append(child);
}

/** What is in an element, replaced. */
function fill(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/** One of the drawings in icons.html; for the eye alone, a word stands beside it. */
function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", `icon icon-${name}`);
  drawing.setAttribute("aria-hidden", "true");
  drawing.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#icon-${name}`);
  drawing.append(use);
  return drawing;
}

/** A text from outside, whose direction of writing does not reach beyond it. */
function isolated(text, attributes = {}) {
  return element("bdi", attributes, text);
}

function stateBadge(state) {
  return element(`span.badge.state-${slug(state)}`, icon(slug(state)), element("span.word", state));
}

/** A heading, and what is under it, as a part of a page. */
function part(title, aside, ...children) {
  return element("section", element("h2", title, aside && element("span.aside", aside)), children);
}

function sheet(...children) {
  return element("div.sheet", children);
}

function folded(label, ...children) {
  return element("details", element("summary", label), children);
}

/** A table; a heading is a text, or a text and its column's class. */
function table(selector, headings, rows) {
  const cells = headings.map((heading) => [heading].flat());
  const head = element(
    "tr",
    cells.map(([text, name = null]) => element("th", { scope: "col", class: name }, text)),
  );
  return element(selector, element("thead", head), element("tbody", rows));
}

/** A row whose first cell says what it is about. */
function row(heading, ...cells) {
  return element("tr", element("th", { scope: "row" }, heading), cells);
}

/** Said by screen readers, without moving the focus. */
function announce(text) {
  document.getElementById("announcer").textContent = text;
}
