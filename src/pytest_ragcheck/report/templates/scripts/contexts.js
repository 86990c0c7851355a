// What was retrieved for a question, and what should have been.

function contextsPart(run, { answer, contexts, contextsKnown, missed }) {
  if (answer === null) return null;
  if (!contextsKnown) return part("Contexts", "the pipeline did not tell them");
  const golden = contexts.filter((context) => context.gold).length;
  const aside = golden || missed.length ? `${contexts.length}, ${golden} with gold` : String(contexts.length);
  if (!contexts.length) return part("Contexts", aside, empty("None were retrieved."));
  return part(
    "Contexts",
    aside,
    legend(contexts),
    element(
      "ol.contexts",
      contexts.map((context) => contextItem(run, context)),
    ),
  );
}

function legend(contexts) {
  const kinds = new Set(contexts.flatMap((context) => context.marks.map(([, , kind]) => kind)));
  const words = { gold: "gold passage", said: "said in the answer" };
  const shown = Object.keys(words).filter((kind) => kinds.has(kind));
  return (
    shown.length > 0 &&
    element(
      "p.legend",
      shown.map((kind) => element(`mark.${kind}`, words[kind])),
    )
  );
}

function contextItem(run, context) {
  const text = run.texts[context.text];
  const heading = element(
    "h3",
    element("span.rank", `#${context.rank}`),
    context.gold && element("span.gold-word", "gold"),
    isolated(context.place),
    context.similarity !== "-" && element("span.similarity", `score ${context.similarity}`),
  );
  const shown = text.trim() ? markedText(text, context.marks) : empty("(empty)");
  return element("li", { class: context.gold ? "is-gold" : null }, heading, shown);
}

function missedPart({ missed }) {
  return (
    missed.length > 0 &&
    part("Gold that was not retrieved", null, element("ul.contexts.missed", missed.map(missedItem)))
  );
}

function missedItem({ place, rank, text }) {
  const found = rank !== null && element("span.rank", `found at rank ${rank}`);
  return element("li", element("h3", found, isolated(place)), text && paragraph(text));
}
