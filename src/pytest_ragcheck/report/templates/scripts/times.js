// All questions' bars on one axis, beneath the charts of the whole run.

const BARS_AT_ONCE = 100;

class QuestionBars {
  constructor(run, place) {
    this.asked = run.questions.filter((question) => question.state !== "not run");
    [this.from, this.to] = [run.started, run.finished];
    this.withCalls = this.asked.some((question) => question.calls.some((call) => !call.cached));
    this.place = place;
    this.shown = 0;
  }

  /** Built when it is first looked at. */
  show() {
    if (this.body) return;
    this.body = element("tbody");
    this.button = element("button", { type: "button", onclick: () => this.more() });
    const order = element("select", { id: "bars-order", onchange: (event) => this.order(event.target.value) },
      element("option", { value: "start" }, "as they started"), element("option", { value: "longest" }, "longest first"));
    fill(this.place,
      element("div", { class: "filters" }, element("div", { class: "field" }, element("label", { for: "bars-order" }, "Order"), order)),
      key(this.withCalls ? STAGES : ["retrieval", "generation", "evaluation"]),
      element("table", { class: "bars", "aria-labelledby": "bars-heading" },
        element("thead", {}, element("tr", {}, element("th", { scope: "col", class: "label" }, "Question"), element("th", { scope: "col" }, `0 to ${seconds(this.to - this.from)}`), element("th", { scope: "col", class: "number figure-column" }, "Time"))),
        this.body),
      element("p", { class: "more" }, this.button));
    this.order("start");
  }

  order(by) {
    const value = by === "longest" ? (question) => question.time.started - question.time.finished : (question) => question.time.started;
    this.sorted = [...this.asked].sort((one, other) => value(one) - value(other));
    this.shown = 0;
    this.body.replaceChildren();
    this.more();
  }

  more() {
    const next = this.sorted.slice(this.shown, this.shown + BARS_AT_ONCE);
    this.body.append(...next.map((question) => this.row(question)));
    this.shown += next.length;
    const left = this.sorted.length - this.shown;
    this.button.parentElement.hidden = left === 0;
    this.button.textContent = `Show ${Math.min(left, BARS_AT_ONCE)} more of ${left.toLocaleString("en")}`;
  }

  row(question) {
    const calls = question.calls.filter((call) => !call.cached);
    const pieces = this.withCalls ? this.lanes(calls) : element("div", { class: "track" }, phaseSpans(question, this.from, this.to));
    return element("tr", {}, element("th", { scope: "row" }, element("a", { href: questionAddress(question.key) }, isolated(clipped(question.id, 100)))),
      element("td", {}, pieces), element("td", { class: "number" }, question.time.total));
  }

  /** Calls of a question run side by side: each has a lane of its own in the question's bar. */
  lanes(calls) {
    const track = element("div", { class: "track" });
    calls.forEach((call, index) => {
      for (const piece of callSpans(call, this.from, this.to)) {
        if (piece === null) continue;
        piece.style.top = `${(100 * index) / calls.length}%`;
        piece.style.height = `${100 / calls.length}%`;
        piece.style.bottom = "auto";
        track.append(piece);
      }
    });
    track.style.height = `${Math.max(calls.length * 4, 12)}px`;
    return track;
  }
}
