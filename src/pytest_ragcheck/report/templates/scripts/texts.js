// Texts of the run: with marked places, and cut where they are very long.

const LONGEST_SHOWN = 20000;
const MARK_CLASSES = { gold: "gold", said: "said", "not supported": "doubted", rejected: "doubted" };

/** A paragraph that keeps its line breaks; of a very long text the start, and a button for the rest. */
function paragraph(text) {
  return markedText(text, []);
}

/**
 * A paragraph with marked places: `marks` are [start, end, kind, ...] and may overlap. What `note(mark)` makes
 * stands behind the last piece of a mark.
 */
function markedText(text, marks, note = () => null) {
  const holder = element("p.text", { dir: "auto" });
  if (text.length <= LONGEST_SHOWN * 1.5) {
    append(holder, markedPieces(text, marks, text.length, note));
    return holder;
  }
  append(holder, markedPieces(text, marks, LONGEST_SHOWN, note));
  const showAll = () => {
    fill(holder, markedPieces(text, marks, text.length, note));
    button.remove();
  };
  const button = element(
    "button.expand",
    { type: "button", onclick: showAll },
    `Show all ${grouped(text.length)} characters`,
  );
  return [holder, button];
}

function markedPieces(text, marks, until, note) {
  const inside = marks.filter(([start]) => start < until);
  const borders = new Set([0, until, ...inside.flatMap(([start, end]) => [start, Math.min(end, until)])]);
  const places = [...borders].sort((one, other) => one - other);
  return places.slice(1).map((to, index) => {
    const from = places[index];
    const here = inside.filter(([start, end]) => start <= from && to <= end);
    const names = new Set(here.map(([, , kind]) => MARK_CLASSES[kind]));
    const piece = text.slice(from, to);
    return [
      here.length ? element("mark", { class: [...names].join(" ") }, piece) : piece,
      here.filter(([, end]) => end === to).map(note),
    ];
  });
}

/** A difference, or one side of it ("-" or "+"): words that only one side has are marked. */
function differenceText(pieces, sides = "-+") {
  const shown = pieces.filter(([operation]) => operation === "=" || sides.includes(operation));
  const names = { "-": "del", "+": "ins" };
  return element(
    "p.text",
    { dir: "auto" },
    shown.map(([operation, text]) => (operation === "=" ? text : element(names[operation], text))),
  );
}
