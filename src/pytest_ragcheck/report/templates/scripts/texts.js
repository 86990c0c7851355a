// Texts of the run: with marked places, and cut where they are very long.

const LONGEST_SHOWN = 20000;

/** A paragraph that keeps its line breaks; of a very long text the start, and a button for the rest. */
function paragraph(text, attributes = {}) {
  return markedText(text, [], attributes);
}

/**
 * A paragraph with marked places: `marks` are [start, end, kind, ...] and may overlap; `note(mark, element)` may
 * add something after the last piece of a mark.
 */
function markedText(text, marks, attributes = {}, note = null) {
  const holder = element("p", { class: "text", dir: "auto", ...attributes });
  const show = (until) => {
    holder.replaceChildren();
    appendMarked(holder, text, marks, until, note);
  };
  if (text.length <= LONGEST_SHOWN * 1.5) {
    show(text.length);
    return holder;
  }
  show(LONGEST_SHOWN);
  const button = element("button", { type: "button", class: "expand", onclick: () => (show(text.length), button.remove()) },
    `Show all ${text.length.toLocaleString("en")} characters`);
  return [holder, button];
}

function appendMarked(holder, text, marks, until, note) {
  const borders = new Set([0, until]);
  for (const [start, end] of marks) {
    if (start < until) borders.add(start).add(Math.min(end, until));
  }
  const places = [...borders].sort((one, other) => one - other);
  for (let index = 0; index + 1 < places.length; index += 1) {
    const [from, to] = [places[index], places[index + 1]];
    const here = marks.filter(([start, end]) => start <= from && to <= end);
    const piece = text.slice(from, to);
    holder.append(here.length ? element("mark", { class: [...new Set(here.map((mark) => markClass(mark[2])))].join(" ") }, piece) : piece);
    if (note) append(holder, here.filter((mark) => mark[1] === to).map(note));
  }
}

function markClass(kind) {
  return kind === "gold" || kind === "said" ? kind : "doubted";
}

/** One side of a difference: its own words marked, and what both sides have. */
function differenceText(pieces, side) {
  const name = side === "-" ? "del" : "ins";
  const shown = pieces.filter(([operation]) => operation === "=" || operation === side);
  return element("p", { class: "text", dir: "auto" },
    shown.map(([operation, text]) => (operation === "=" ? text : element(name, {}, text))));
}

/** A heading, and what is under it, as a part of a page. */
function part(title, aside, ...children) {
  return element("section", {}, element("h2", {}, title, aside ? element("span", { class: "aside" }, aside) : null), children);
}
