// What was measured of one answer.

const METRIC_WORDS = {
  failed: "failed",
  error: "not measured",
  passed: "passed",
  reported: "reported",
  "not applicable": "not applicable",
};
const METRIC_TONES = {
  failed: "failed",
  error: "error",
  passed: "passed",
  reported: "not-run",
  "not applicable": "not-run",
};

function metricsPart(run, { scores }) {
  if (!scores.length) return null;
  const [applying, others] = [true, false].map((applies) =>
    scores.filter((score) => (score.status !== "not applicable") === applies),
  );
  const list = (some) =>
    element(
      "ul.metrics",
      some.map((score) => metricItem(run, score)),
    );
  const rest = others.length > 0 && folded(`${plural(others.length, "metric")} not applicable`, list(others));
  return part("Metrics", null, applying.length > 0 && list(applying), rest);
}

function metricItem(run, score) {
  const line = element(
    "div.line",
    isolated(score.metric, { class: "name" }),
    score.shown && element(`span.figure.score-${slug(score.status)}`, score.shown),
    element("span.word", METRIC_WORDS[score.status]),
  );
  return element(
    `li.state-${METRIC_TONES[score.status]}`,
    line,
    run.compared && score.change && changeLine(score.change),
    score.vacuous && element("p.against", "Vacuous: the value rests on no evidence."),
    score.error && failureBox(score.error),
    score.reason && element("p.reason", { dir: "auto" }, clipped(score.reason, 4000)),
    score.findings.length > 0 && findingList(score),
  );
}

function changeLine({ before, shown, again, noise, broke, flipped, known }) {
  const isNoise = noise && shown !== "0.00";
  return element(
    "p.against",
    `baseline ${before ?? "not measured"}`,
    shown !== null && `, ${shown}`,
    again && `, asked again ${again}`,
    isNoise && ", within its noise",
    flipped && ", passes now and then",
    broke && element("strong.score-failed", ", broke"),
    known && ", known failure",
  );
}

function findingList({ status, findings }) {
  const list = element("ul.findings", findings.map(findingItem));
  return status === "failed" || status === "error" ? list : folded(plural(findings.length, "finding"), list);
}

function findingItem([kind, text, remark]) {
  return element("li", `${kind}: `, isolated(text), remark && [" – ", isolated(remark, { class: "minor" })]);
}
