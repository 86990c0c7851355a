// Elements made from names and texts. No text ever becomes markup: there is no innerHTML in these scripts,
// and the page's policy would refuse it.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element. Attributes that are null or false are left out, true ones are empty; "class" and the rest are set as
 * attributes, functions named "on…" listen. Children are nodes, texts, arrays of these, or null.
 */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false && value !== undefined) made.setAttribute(key, value === true ? "" : value);
  }
  append(made, children);
  return made;
}

function append(parent, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) parent.append(child);
  }
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

/** A name that may be broken after its underscores. */
function breakable(name) {
  return name.split(/(?<=_)/).flatMap((piece, index) => (index ? [element("wbr"), piece] : [piece]));
}

function slug(text) {
  return text.replace(/[^a-z0-9]+/g, "-");
}

function stateBadge(state) {
  return element("span", { class: `badge state-${slug(state)}` }, icon(slug(state)), element("span", { class: "word" }, state));
}

function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Seconds as people read them, as the reports in the terminal write them. */
function seconds(duration) {
  if (duration === 0) return "0 s";
  if (duration < 0.00995) return `${(duration * 1000).toFixed(1)} ms`;
  if (duration < 0.9995) return `${(duration * 1000).toFixed(0)} ms`;
  if (duration < 9.995) return `${duration.toFixed(2)} s`;
  if (duration < 59.95) return `${duration.toFixed(1)} s`;
  const whole = Math.round(duration);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours} h ${String(minutes).padStart(2, "0")} min` : `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** Said by screen readers, without moving the focus. */
function announce(text) {
  document.getElementById("announcer").textContent = text;
}
