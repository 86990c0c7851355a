// One question's page.

const METRIC_WORDS = { failed: "failed", error: "not measured", passed: "passed", reported: "reported", "not applicable": "not applicable" };
const METRIC_TONES = { failed: "state-failed", error: "state-error", passed: "state-passed", reported: "state-not-run", "not applicable": "state-not-run" };

function showQuestion(place, run, question, neighbours) {
  fill(place,
    pathOf(neighbours),
    askedPart(question),
    element("div", { class: "columns" },
      element("div", {}, historyPart(question), answerPart(question), referencePart(question), contextsPart(run, question), missedPart(question)),
      element("div", {}, metricsPart(run, question), rerunPart(question))),
    changeParts(question),
    trialsPart(run, question),
    questionTimes(run, question));
}

function pathOf({ back, previous, next, place, total }) {
  const turn = (key, label, rel) => key === null ? element("span", { class: "none", "aria-disabled": "true" }, label) : element("a", { href: questionAddress(key), rel }, label);
  return element("nav", { class: "path", "aria-label": "Questions" }, element("a", { href: back }, "← All questions"),
    total ? element("span", { class: "turn" }, turn(previous, "Previous", "prev"), element("span", { class: "minor" }, `${place.toLocaleString("en")} of ${total.toLocaleString("en")}`), turn(next, "Next", "next")) : null);
}

function askedPart(question) {
  const where = question.line === null ? question.dataset : `${question.dataset}:${question.line}`;
  const [first, second] = question.diagnosis ? [question.diagnosis, question.outcome] : [question.outcome === "passed" ? "Every threshold was reached." : question.outcome, null];
  return element("header", { class: "asked" },
    element("div", { class: `diagnosis state-${slug(question.state)}` }, element("p", { class: "first", dir: "auto" }, first), second ? element("p", { dir: "auto" }, second) : null),
    element("h1", { id: "question-heading", tabindex: "-1", dir: "auto" }, clipped(question.question, 600)),
    element("p", { class: "about" }, stateBadge(question.state), isolated(clipped(question.id, 200), { class: "long" }), where ? isolated(where) : null,
      question.variant ? isolated(question.variant) : null, question.title === "question" ? null : element("span", {}, question.title.replace(/^question \((.*)\)$/, "$1")),
      question.tags.map((tag) => element("a", { class: "chip", href: `#/questions?${formatFilters({ ...parseFilters(""), tag })}` }, isolated(clipped(tag, 60))))),
    question.question.length > 600 ? element("div", { class: "sheet" }, paragraph(question.question)) : null,
    question.error ? failureBox(question.error) : null);
}

function failureBox(failure) {
  return element("div", { class: "sheet failure" }, paragraph(failure.message),
    failure.details.length ? element("dl", {}, failure.details.map(([name, text]) =>
      element("div", {}, element("dt", {}, isolated(name)), element("dd", {}, text.includes("\n") ? element("pre", {}, text) : isolated(text))))) : null);
}

function historyPart(question) {
  if (!question.history.length) return null;
  return part("Said before", null, element("div", { class: "sheet" }, question.history.map(([role, text]) => [element("p", { class: "aside" }, role), paragraph(text)])));
}

function answerPart(question) {
  const answer = question.answer;
  if (answer === null) return null;
  if (!answer.made) return part("Answer", "only retrieval is under test");
  if (!answer.text.trim()) return part("Answer", answer.facts.join(", "), element("div", { class: "sheet" }, element("p", { class: "empty" }, "(empty)")));
  const numbers = new Map(answer.marks.map((mark, index) => [mark, index + 1]));
  const note = (mark) => element("a", { class: "note", href: `#note-${numbers.get(mark)}`, "aria-label": `note ${numbers.get(mark)}: ${mark[2]}`, onclick: jump }, numbers.get(mark));
  const notes = answer.marks.map(([, , kind, remark, metric], index) =>
    element("li", { id: `note-${index + 1}`, tabindex: "-1" }, `${kind} (`, isolated(metric), ")", remark ? [": ", isolated(remark)] : null));
  return part("Answer", answer.facts.join(", "),
    element("div", { class: "sheet" }, markedText(answer.text, answer.marks, {}, note), notes.length ? element("ol", { class: "notes" }, notes) : null));
}

/** To a place within the page, whose address stays what it is. */
function jump(event) {
  event.preventDefault();
  const target = document.getElementById(event.currentTarget.getAttribute("href").slice(1));
  target.focus();
  target.scrollIntoView({ block: "nearest" });
}

function referencePart(question) {
  const facts = question.facts.map((fact) => fact.join(" or "));
  if (!question.reference && !facts.length) return null;
  return part("Reference", null, element("div", { class: "sheet" }, question.reference ? paragraph(question.reference) : null,
    facts.length ? element("p", { class: "aside" }, "Must contain: ", facts.map((fact, index) => [index ? "; " : "", isolated(fact)])) : null));
}

function contextsPart(run, question) {
  if (question.answer === null) return null;
  if (!question.contextsKnown) return part("Contexts", "the pipeline did not tell them");
  const golden = question.contexts.filter((context) => context.gold).length;
  const kinds = new Set(question.contexts.flatMap((context) => context.marks.map(([, , kind]) => kind)));
  const aside = golden || question.missed.length ? `${question.contexts.length}, ${golden} with gold` : `${question.contexts.length}`;
  return part("Contexts", aside,
    kinds.size ? element("p", { class: "legend" }, kinds.has("gold") ? element("mark", { class: "gold" }, "gold passage") : null, kinds.has("said") ? element("mark", { class: "said" }, "said in the answer") : null) : null,
    question.contexts.length ? element("ol", { class: "contexts" }, question.contexts.map((context) => contextItem(run, context))) : element("p", { class: "empty" }, "None were retrieved."));
}

function contextItem(run, context) {
  const text = run.texts[context.text];
  return element("li", { class: context.gold ? "is-gold" : null },
    element("h3", {}, element("span", { class: "rank" }, `#${context.rank}`), context.gold ? element("span", { class: "gold-word" }, "gold") : null,
      isolated(context.place), context.similarity === "-" ? null : element("span", { class: "similarity" }, `score ${context.similarity}`)),
    text.trim() ? markedText(text, context.marks) : element("p", { class: "empty" }, "(empty)"));
}

function missedPart(question) {
  if (!question.missed.length) return null;
  return part("Gold that was not retrieved", null, element("ul", { class: "contexts missed" }, question.missed.map((missed) =>
    element("li", {}, element("h3", {}, missed.rank === null ? null : element("span", { class: "rank" }, `found at rank ${missed.rank}`), isolated(missed.place)), missed.text ? paragraph(missed.text) : null))));
}

function metricsPart(run, question) {
  if (!question.scores.length) return null;
  const applying = question.scores.filter((score) => score.status !== "not applicable");
  const others = question.scores.filter((score) => score.status === "not applicable");
  return part("Metrics", null, element("ul", { class: "metrics" }, applying.map((score) => metricItem(run, score))),
    others.length ? element("details", { open: applying.length === 0 }, element("summary", {}, `${plural(others.length, "metric")} not applicable`),
      element("ul", { class: "metrics" }, others.map((score) => metricItem(run, score)))) : null);
}

function metricItem(run, score) {
  const detailed = score.status === "failed" || score.status === "error";
  return element("li", { class: METRIC_TONES[score.status] },
    element("div", { class: "line" }, isolated(score.metric, { class: "name" }), score.shown ? element("span", { class: `figure score-${slug(score.status)}` }, score.shown) : null,
      element("span", { class: "word" }, METRIC_WORDS[score.status])),
    run.compared && score.change ? changeLine(score.change) : null,
    score.vacuous ? element("p", { class: "against" }, "Vacuous: the value rests on no evidence.") : null,
    score.error ? failureBox(score.error) : null,
    score.reason ? element("p", { class: "reason", dir: "auto" }, clipped(score.reason, 4000)) : null,
    score.findings.length ? findingList(score, detailed) : null);
}

function changeLine(change) {
  const parts = [`baseline ${change.before ?? "not measured"}`];
  if (change.shown !== null) parts.push(`${change.shown}${change.noise && change.shown !== "0.00" ? ", within its noise" : ""}`);
  return element("p", { class: "against" }, parts.join(", "), change.broke ? element("strong", { class: "score-failed" }, ", broke") : null, change.known ? ", known failure" : null);
}

function findingList(score, open) {
  const items = score.findings.map(([kind, text, remark]) => element("li", {}, `${kind}: `, isolated(text), remark ? [" – ", isolated(remark, { class: "minor" })] : null));
  if (open) return element("ul", { class: "findings" }, items);
  return element("details", {}, element("summary", {}, plural(items.length, "finding")), element("ul", { class: "findings" }, items));
}

function rerunPart(question) {
  if (!question.rerun) return null;
  const button = element("button", { type: "button", onclick: () => copy(question.rerun, button) }, "Copy");
  return part("Run this question again", null, element("div", { class: "command" }, element("code", {}, question.rerun), button));
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    announce("Selected; copy it with the keyboard");
  }
}

function trialsPart(run, question) {
  if (!question.trials.length) return null;
  const metrics = [...new Set(question.trials.flatMap((trial) => trial.scores.map(([metric]) => metric)))];
  const passed = question.trials.filter((trial) => trial.state === "passed").length;
  const headings = ["Trial", "State", ...metrics, "Time", "Answer"];
  const cell = ([, shown, status] = [null, null, "not applicable"]) => element("td", { class: `number score-${slug(status)}` }, shown ?? (status === "error" ? "error" : "–"));
  return part("Trials", `${passed} of ${question.trials.length} passed`, element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Trials" },
    element("table", {}, element("thead", {}, element("tr", {}, headings.map((heading) => element("th", { scope: "col", class: metrics.includes(heading) || heading === "Time" ? "number" : null }, isolated(heading))))),
      element("tbody", {}, question.trials.map((trial, index) => element("tr", {}, element("th", { scope: "row" }, index + 1), element("td", {}, stateBadge(trial.state)),
        metrics.map((metric) => cell(trial.scores.find(([name]) => name === metric))), element("td", { class: "number" }, trial.total),
        element("td", { class: "trial-answer" }, trial.answer === null ? element("span", { dir: "auto" }, trial.outcome) : element("details", {}, element("summary", {}, clipped(run.texts[trial.answer], 80) || "(empty)"), paragraph(run.texts[trial.answer])))))))));
}
