// One question's page.

const LONGEST_HEADING = 600;

function showQuestion(place, run, question, neighbours) {
  const said = [historyPart(question), answerPart(question), referencePart(question)];
  const found = [contextsPart(run, question), missedPart(question)];
  const measured = [metricsPart(run, question), rerunPart(question)];
  fill(
    place,
    pathOf(neighbours),
    askedPart(question),
    element("div.columns", element("div", said, found), element("div", measured)),
    changePart(question),
    trialsPart(run, question),
    questionTimes(run, question),
  );
}

function pathOf({ back, previous, next, place, total }) {
  const position = element("span.minor", `${grouped(place)} of ${grouped(total)}`);
  const turns = element("span.turn", turn(previous, "Previous", "prev"), position, turn(next, "Next", "next"));
  return element(
    "nav.path",
    { "aria-label": "Questions" },
    element("a", { href: back }, "← Back to the list"),
    total > 0 && turns,
  );
}

function turn(key, label, rel) {
  return key === null ? element("span.none", label) : element("a", { href: questionAddress(key), rel }, label);
}

// ---- What was asked, and whose fault it is ---------------------------------------------------------

function askedPart(question) {
  const isLong = question.question.length > LONGEST_HEADING;
  return element(
    "header.asked",
    diagnosisBox(question),
    element("h1", { id: "question-heading", tabindex: "-1", dir: "auto" }, clipped(question.question, LONGEST_HEADING)),
    aboutLine(question),
    isLong && sheet(paragraph(question.question)),
    question.error && failureBox(question.error),
  );
}

function diagnosisBox({ state, diagnosis, outcome }) {
  const told = outcome === "passed" ? "Every threshold was reached." : outcome;
  const [first, second] = diagnosis ? [diagnosis, told] : [told, null];
  return element(
    `div.diagnosis.state-${slug(state)}`,
    element("p.first", { dir: "auto" }, first),
    second && element("p", { dir: "auto" }, second),
  );
}

function aboutLine(question) {
  const where = question.line === null ? question.dataset : `${question.dataset}:${question.line}`;
  return element(
    "p.about",
    stateBadge(question.state),
    question.expected && element("span", "expected to fail (xfail)"),
    isolated(clipped(question.id, 200), { class: "long" }),
    where && isolated(where),
    question.variant && isolated(question.variant),
    !question.answerable && element("span", "unanswerable: a refusal is right"),
    question.tags.map((tag) => element("a.chip", { href: tagAddress(tag) }, isolated(clipped(tag, 60)))),
  );
}

function tagAddress(tag) {
  return listAddress({ ...parseFilters(""), tag });
}

function failureBox({ message, details }) {
  const entry = ([name, text]) =>
    element(
      "div",
      element("dt", isolated(name)),
      element("dd", text.includes("\n") ? element("pre", text) : isolated(text)),
    );
  return element("div.sheet.failure", paragraph(message), details.length > 0 && element("dl", details.map(entry)));
}

// ---- What was said ---------------------------------------------------------------------------------

function historyPart({ history }) {
  if (!history.length) return null;
  return part("Said before", null, sheet(history.map(([role, text]) => [element("p.aside", role), paragraph(text)])));
}

function answerPart({ answer }) {
  if (answer === null) return null;
  if (!answer.made) return part("Answer", "only retrieval is under test");
  return part(
    "Answer",
    answer.facts.join(", "),
    answer.text.trim() ? sheet(doubtedAnswer(answer)) : sheet(empty("(empty)")),
  );
}

function empty(text) {
  return element("p.empty", text);
}

/** The answer's text, its doubted places numbered, and under it what is held against each. */
function doubtedAnswer({ text, marks }) {
  const numbers = new Map(marks.map((mark, index) => [mark, index + 1]));
  const noted = markedText(text, marks, (mark) => noteLink(numbers.get(mark), mark[2]));
  return [noted, marks.length > 0 && element("ol.notes", marks.map(noteItem))];
}

function noteLink(number, kind) {
  return element("a.note", { href: `#note-${number}`, "aria-label": `note ${number}: ${kind}`, onclick: jump }, number);
}

function noteItem([, , kind, remark, metric], index) {
  const told = [`${kind} (`, isolated(metric), ")", remark && [": ", isolated(remark)]];
  return element("li", { id: `note-${index + 1}`, tabindex: "-1" }, told);
}

/** To a place within the page, whose address stays what it is. */
function jump(event) {
  event.preventDefault();
  const target = document.getElementById(event.currentTarget.getAttribute("href").slice(1));
  target.focus();
  target.scrollIntoView({ block: "nearest" });
}

function referencePart({ reference, facts }) {
  if (!reference && !facts.length) return null;
  const spellings = facts.map((fact, index) => [index > 0 && "; ", isolated(fact.join(" or "))]);
  return part(
    "Reference",
    null,
    sheet(reference && paragraph(reference), facts.length > 0 && element("p.aside", "Must contain: ", spellings)),
  );
}

// ---- How to ask it again ---------------------------------------------------------------------------

function rerunPart({ rerun }) {
  if (!rerun) return null;
  const command = element("code", rerun);
  const button = element("button", { type: "button", onclick: () => copy(command, button) }, "Copy");
  return part("Run this question again", null, element("div.command", command, button));
}

async function copy(command, button) {
  try {
    await navigator.clipboard.writeText(command.textContent);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    getSelection().selectAllChildren(command);
    announce("Selected; copy it with the keyboard");
  }
}
