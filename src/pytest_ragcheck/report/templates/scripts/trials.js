// The repetitions of a question, side by side.

function trialsPart(run, { trials }) {
  if (!trials.length) return null;
  const metrics = [...new Set(trials.flatMap((trial) => trial.scores.map(([metric]) => metric)))];
  const passed = trials.filter((trial) => trial.state === "passed").length;
  const headings = [
    "Trial",
    "State",
    ...metrics.map((metric) => [isolated(metric), "number"]),
    ["Time", "number"],
    "Answer",
  ];
  const rows = trials.map((trial, index) => trialRow(run, trial, index + 1, metrics));
  const scrolled = { tabindex: "0", role: "region", "aria-label": "Trials" };
  return part(
    "Trials",
    `${passed} of ${trials.length} passed`,
    element("div.scroll", scrolled, table("table", headings, rows)),
  );
}

function trialRow(run, trial, number, metrics) {
  const scores = new Map(trial.scores.map(([metric, ...score]) => [metric, score]));
  return row(
    number,
    element("td", stateBadge(trial.state)),
    metrics.map((metric) => trialScore(...(scores.get(metric) ?? [null, "not applicable"]))),
    element("td.number", trial.total),
    element("td.trial-answer", trialAnswer(run, trial)),
  );
}

function trialScore(shown, status) {
  return element(`td.number.score-${slug(status)}`, shown ?? (status === "error" ? "error" : "–"));
}

function trialAnswer(run, trial) {
  if (trial.answer === null) return element("span", { dir: "auto" }, trial.outcome);
  const text = run.texts[trial.answer];
  return folded(clipped(text, 80) || "(empty)", paragraph(text));
}
