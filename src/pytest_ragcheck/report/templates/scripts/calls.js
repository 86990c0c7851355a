// Bars of time: phases and model calls on an axis.

const STAGES = ["queued", "backoff", "wire"];
const STAGE_WORDS = { queued: "queued", backoff: "back-off", wire: "on the wire" };

/** A piece of a bar from one time to another, on an axis from `from` to `to`. */
function span(name, kind, start, end, from, to) {
  const piece = element("div", { class: `${name} span-${kind}` });
  const length = Math.max(to - from, 1e-9);
  piece.style.insetInlineStart = `${(100 * (start - from)) / length}%`;
  piece.style.width = `${(100 * Math.max(end - start, 0)) / length}%`;
  return piece;
}

/** The stages of a call: it is queued, waits between attempts, and then is on the wire. */
function callSpans(call, from, to) {
  let start = call.started;
  return STAGES.map((stage) => {
    const end = start + call[stage];
    const piece = call[stage] > 0 ? span("call", stage, start, end, from, to) : null;
    start = end;
    return piece;
  });
}

function callEnd(call) {
  return STAGES.reduce((sum, stage) => sum + call[stage], call.started);
}

function phaseSpans(question, from, to) {
  return question.time.phases
    .filter(([, start]) => start !== null)
    .map(([phase, start, end]) => span("phase", phase, start, end, from, to));
}

function key(names) {
  return element("p", { class: "key-row" }, names.map((name) => element("span", { class: `key key-${name}` }, STAGE_WORDS[name] ?? name)));
}

/** A question's phases and calls, one bar for each. */
function questionTimes(run, question) {
  const from = question.time.started;
  const calls = question.calls.filter((call) => !call.cached);
  const to = Math.max(question.time.finished, ...calls.map(callEnd));
  const phases = question.time.phases.filter(([, start, end]) => start !== null && end !== null);
  if (!phases.length && !question.calls.length) return null;
  const bar = (...pieces) => element("td", {}, element("div", { class: "track" }, pieces));
  const phaseRows = phases.map(([phase, start, end, spent]) =>
    element("tr", {}, element("th", { scope: "row" }, phase), bar(span("phase", phase, start, end, from, to)),
      element("td", { class: "number", colspan: question.calls.length ? 3 : null }, spent)));
  const callRows = question.calls.map((call) =>
    element("tr", {}, element("th", { scope: "row", title: callTitle(call) }, isolated(call.purpose), " ", isolated(call.model, { class: "minor" })), bar(callSpans(call, from, to)),
      call.cached ? element("td", { class: "number minor", colspan: 3 }, "from the cache") : STAGES.map((stage) => element("td", { class: "number" }, seconds(call[stage])))));
  const figures = question.calls.length ? STAGES.map((stage) => element("th", { scope: "col", class: "number figure-column" }, STAGE_WORDS[stage])) : element("th", { scope: "col", class: "number figure-column" }, "Spent");
  return part("Where the time went", question.time.total,
    element("table", { class: "bars" },
      element("thead", {}, element("tr", {}, element("th", { scope: "col", class: "label" }, "For"),
        element("th", { scope: "col" }, `From ${seconds(from - run.started)} to ${seconds(to - run.started)} after the first question began`), figures)),
      element("tbody", {}, phaseRows, callRows)),
    calls.length ? callDetails(question.calls) : null);
}

function callTitle(call) {
  return [call.purpose, call.model, call.request && `request ${call.request}`].filter(Boolean).join(", ");
}

function callDetails(calls) {
  const headings = ["For", "Model", "Attempts", "Tokens in", "Tokens out", "Cost", "Request"];
  const rows = calls.map((call) => element("tr", {}, element("th", { scope: "row" }, isolated(call.purpose)), element("td", {}, isolated(call.model)),
    [call.attempts, call.input, call.output].map((number) => element("td", { class: "number" }, number.toLocaleString("en"))),
    element("td", { class: "number" }, call.cost ?? "unknown"), element("td", { class: "long" }, call.request ?? "–")));
  return element("details", {}, element("summary", {}, "Tokens, cost and request ids"),
    element("table", {}, element("thead", {}, element("tr", {}, headings.map((heading, index) =>
      element("th", { scope: "col", class: index > 1 && index < 6 ? "number" : null }, heading)))), element("tbody", {}, rows)));
}
