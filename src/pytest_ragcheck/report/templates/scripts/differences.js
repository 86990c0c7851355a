// What changed of one question against the baseline.

function changeParts(question) {
  const change = question.change;
  if (change === null) return null;
  const answer = answerDifference(question, change);
  const rankings = change.contexts.length ? rankingTable(change) : null;
  if (!answer && !rankings && change.cause === null) return null;
  return part("Changed since the baseline", change.cause, answer, rankings);
}

function answerDifference(question, change) {
  if (change.answer) {
    return element("div", { class: "side-by-side" },
      element("div", {}, element("h3", {}, "Answer in the baseline"), element("div", { class: "sheet" }, differenceText(change.answer, "-"))),
      element("div", {}, element("h3", {}, "Answer in this run"), element("div", { class: "sheet" }, differenceText(change.answer, "+"))));
  }
  if (change.baselineAnswer === null) return null;
  return element("div", {}, element("h3", {}, "Answer in the baseline"), element("div", { class: "sheet" }, paragraph(change.baselineAnswer)));
}

function rankingTable(change) {
  const caption = change.gold.map(([label, before, now]) =>
    element("p", { class: "aside" }, "Gold ", isolated(label), `: ${rankWords(before)} → ${rankWords(now)}`));
  return element("div", {}, element("h3", {}, "Contexts"), caption,
    element("table", { class: "rankings" },
      element("thead", {}, element("tr", {}, ["Rank", "Baseline", "This run"].map((heading) => element("th", { scope: "col" }, heading)))),
      element("tbody", {}, change.contexts.map((row) => element("tr", {}, element("th", { scope: "row", class: "number" }, row.rank),
        element("td", {}, rankedContext(row.before, row.edit, "-")), element("td", {}, rankedContext(row.now, row.edit, "+")))))));
}

function rankWords(rank) {
  return rank === null ? "not retrieved" : `rank ${rank}`;
}

function rankedContext(context, edit, side) {
  if (context === null) return element("span", { class: "none" }, "–");
  const how = { went: "went", came: "came", moved: side === "-" ? `to rank ${context.other}` : `from rank ${context.other}`, same: "" }[context.how];
  const text = context.text === null ? null
    : element("details", {}, element("summary", {}, edit && side === "+" ? "Text, and what changed in it" : "Text"),
      edit && side === "+" ? bothSides(edit) : paragraph(context.text));
  return [how ? element("span", { class: `how ${context.how}` }, how) : null, isolated(context.label, { class: context.how === "same" ? "same" : "" }), text];
}

function bothSides(pieces) {
  return element("p", { class: "text", dir: "auto" }, pieces.map(([operation, text]) =>
    operation === "=" ? text : element(operation === "-" ? "del" : "ins", {}, text)));
}
