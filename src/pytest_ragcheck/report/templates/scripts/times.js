// All questions' bars on one axis, beneath the charts of the whole run.

const BARS_AT_ONCE = 100;
const LANE_HEIGHT = 4;
const LEAST_HEIGHT = 12;

class QuestionBars {
  constructor(run, place) {
    this.place = place;
    this.asked = run.questions.filter((question) => question.state !== "not run");
    this.axis = new Axis(run.started, run.finished);
    this.withCalls = this.asked.some((question) => madeCalls(question).length > 0);
    this.shown = 0;
  }

  /** Built when it is first looked at. */
  show() {
    if (this.body) return;
    this.button = element("button", { type: "button", onclick: () => this.more() });
    const span = `0 to ${seconds(this.axis.to - this.axis.from)}`;
    const bars = table("table.bars", [["Question", "label"], span, ["Time", "number figure-column"]], []);
    bars.setAttribute("aria-labelledby", "bars-heading");
    this.body = bars.tBodies[0];
    fill(
      this.place,
      this.orderField(),
      keyLine(this.withCalls ? STAGES : PHASES),
      bars,
      element("p.more", this.button),
    );
    this.order("start");
  }

  orderField() {
    const select = element(
      "select",
      { id: "bars-order", onchange: (event) => this.order(event.target.value) },
      element("option", { value: "start" }, "as they started"),
      element("option", { value: "longest" }, "longest first"),
    );
    return element("div.filters", element("div.field", element("label", { for: "bars-order" }, "Order"), select));
  }

  order(by) {
    const start = ({ time }) => time.started;
    const length = ({ time }) => time.started - time.finished;
    const value = by === "longest" ? length : start;
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
    this.button.textContent = `Show ${Math.min(left, BARS_AT_ONCE)} more of ${grouped(left)}`;
  }

  row(question) {
    const link = element("a", { href: questionAddress(question.key) }, isolated(clipped(question.id, 100)));
    const track = this.withCalls ? this.lanes(madeCalls(question)) : element("div.track", this.axis.phases(question));
    return row(link, element("td", track), element("td.number", question.time.total));
  }

  /** Calls of a question run side by side: each has a lane of its own in the question's bar. */
  lanes(calls) {
    const track = element("div.track");
    track.style.height = `${Math.max(calls.length * LANE_HEIGHT, LEAST_HEIGHT)}px`;
    calls.forEach((call, lane) => {
      for (const piece of this.axis.stages(call)) {
        piece.style.top = `${(100 * lane) / calls.length}%`;
        piece.style.height = `${100 / calls.length}%`;
        track.append(piece);
      }
    });
    return track;
  }
}
