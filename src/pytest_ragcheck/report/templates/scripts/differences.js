// What changed of one question against the baseline.

function changePart(question) {
  const change = question.change;
  if (change === null || (change.cause === null && !change.answer && !change.contexts.length)) return null;
  return part("Changed since the baseline", change.cause, answerChange(change), rankingChange(change));
}

function answerChange(change) {
  if (change.answer) {
    return element(
      "div.side-by-side",
      titled("Answer in the baseline", sheet(differenceText(change.answer, "-"))),
      titled("Answer in this run", sheet(differenceText(change.answer, "+"))),
    );
  }
  return change.baselineAnswer && titled("Answer in the baseline", sheet(paragraph(change.baselineAnswer)));
}

function titled(title, ...children) {
  return element("div", element("h3", title), children);
}

function rankingChange(change) {
  if (!change.contexts.length) return null;
  const gold = change.gold.map(([label, before, now]) =>
    element("p.aside", "Gold ", isolated(label), `: ${rankWords(before)} → ${rankWords(now)}`),
  );
  const rows = change.contexts.map(({ rank, before, now, edit }) =>
    row(rank, element("td", rankedContext(before, null)), element("td", rankedContext(now, edit))),
  );
  return titled("Contexts", gold, table("table.rankings", ["Rank", "Baseline", "This run"], rows));
}

function rankWords(rank) {
  return rank === null ? "not retrieved" : `rank ${rank}`;
}

/** What stood at a rank; `edit` is its difference to the context whose place it took. */
function rankedContext(context, edit) {
  if (context === null) return element("span.none", "–");
  return [
    context.told && element(`span.how.${context.how}`, context.told),
    isolated(context.label, { class: context.how === "same" ? "same" : null }),
    context.text !== null && contextText(context.text, edit),
  ];
}

function contextText(text, edit) {
  return edit ? folded("Text, and what changed in it", differenceText(edit)) : folded("Text", paragraph(text));
}
