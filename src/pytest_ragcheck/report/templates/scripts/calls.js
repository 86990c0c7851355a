// Bars of time: phases and model calls on an axis.

const PHASES = ["retrieval", "generation", "evaluation"];
const STAGES = ["queued", "backoff", "wire"];
const STAGE_WORDS = { queued: "queued", backoff: "back-off", wire: "on the wire" };

/** What bars are drawn on: seconds after the start of the run, from left to right. */
class Axis {
  constructor(from, to) {
    this.from = from;
    this.to = to;
    this.length = Math.max(to - from, 1e-9);
  }

  /** A piece of a bar; `name` is "phase" or "call", `kind` one of PHASES or STAGES. */
  span(name, kind, start, end) {
    const piece = element(`div.${name}.span-${kind}`);
    piece.style.insetInlineStart = this.share(start - this.from);
    piece.style.width = this.share(Math.max(end - start, 0));
    return piece;
  }

  share(duration) {
    return `${(100 * duration) / this.length}%`;
  }

  /** The stages of a call: it is queued, waits between attempts, and then is on the wire. */
  stages(call) {
    let start = call.started;
    const pieces = [];
    for (const stage of STAGES) {
      if (call[stage] > 0) pieces.push(this.span("call", stage, start, start + call[stage]));
      start += call[stage];
    }
    return pieces;
  }

  phases(question) {
    return notedPhases(question).map(([phase, start, end]) => this.span("phase", phase, start, end));
  }
}

function notedPhases(question) {
  return question.time.phases.filter(([, start, end]) => start !== null && end !== null);
}

/** Calls that were made; the others came from the cache and took no time. */
function madeCalls(question) {
  return question.calls.filter((call) => !call.cached);
}

function callEnd(call) {
  return call.started + call.queued + call.backoff + call.wire;
}

function keyLine(names) {
  return element(
    "p.key-row",
    names.map((name) => element(`span.key.key-${name}`, STAGE_WORDS[name] ?? name)),
  );
}

// ---- One question's phases and calls -----------------------------------------------------------

/** A bar for each phase and each call of a question. */
function questionTimes(run, question) {
  const phases = notedPhases(question);
  if (!phases.length && !question.calls.length) return null;
  const from = question.time.begun;
  const axis = new Axis(from, Math.max(question.time.finished, ...madeCalls(question).map(callEnd)));
  const [start, end] = [axis.from, axis.to].map((time) => seconds(time - run.started));
  const hasCalls = question.calls.length > 0;
  const figures = hasCalls ? STAGES.map((stage) => STAGE_WORDS[stage]) : ["spent"];
  const headings = [
    ["For", "label"],
    `From ${start} to ${end} after the first question began`,
    ...figures.map((figure) => [figure, "number figure-column"]),
  ];
  const rows = [
    ...phases.map((phase) => phaseRow(axis, phase, question.time, hasCalls)),
    ...question.calls.map((call) => callRow(axis, call)),
  ];
  return part(
    "Where the time went",
    question.time.total,
    table("table.bars", headings, rows),
    hasCalls && callDetails(question.calls),
  );
}

function bar(pieces) {
  return element("td", element("div.track", pieces));
}

function phaseRow(axis, [phase, start, end, spent], { begun, started }, hasCalls) {
  const shared = phase === "retrieval" && begun < started;
  return row(
    shared ? [phase, element("span.minor", " (its share of one search for all)")] : phase,
    bar(axis.span("phase", phase, start, end)),
    element("td.number", { colspan: hasCalls ? STAGES.length : null }, spent),
  );
}

function callRow(axis, call) {
  const name = [isolated(call.purpose), " ", isolated(call.model, { class: "minor" })];
  if (call.cached) return row(name, bar([]), element("td.number.minor", { colspan: STAGES.length }, "from the cache"));
  return row(
    name,
    bar(axis.stages(call)),
    STAGES.map((stage) => element("td.number", seconds(call[stage]))),
  );
}

function callDetails(calls) {
  const numbers = ["Attempts", "Tokens in", "Tokens out", "Cost"].map((heading) => [heading, "number"]);
  const rows = calls.map((call) =>
    row(
      isolated(call.purpose),
      element("td", isolated(call.model)),
      [call.attempts, call.input, call.output].map((number) => element("td.number", grouped(number))),
      element("td.number", call.cost ?? "unknown"),
      element("td.long", call.request ?? "–"),
    ),
  );
  return folded(
    "Tokens, cost and request ids",
    element("div.scroll", table("table", ["For", "Model", ...numbers, "Request"], rows)),
  );
}
