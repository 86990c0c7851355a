// The list of questions: filters above it, rows that are added as they are scrolled to.

const ROWS_AT_ONCE = 100;
const ROWS_AHEAD = "600px";
const MOST_METRIC_COLUMNS = 6;
const NOT_MEASURED = { error: "error", "not applicable": "n/a" };

class QuestionList {
  /** `onFilter` is told of filters that the reader chose. */
  constructor(run, place, onFilter) {
    this.run = run;
    this.onFilter = onFilter;
    this.form = new FilterForm(run, onFilter);
    this.count = element("span", { role: "status" });
    this.resetButton = element("button.quiet", { type: "button", onclick: () => this.reset() }, "Show all");
    this.head = element("thead");
    this.body = element("tbody");
    this.table = element("table.list", { "aria-labelledby": "questions-heading" }, this.head, this.body);
    this.moreButton = element("button", { type: "button", onclick: () => this.showMore() });
    this.more = element("p.more", { hidden: true }, this.moreButton);
    fill(place, this.form.element, element("p.found", this.count, this.resetButton), this.table, this.more);
    this.show(parseFilters(""));
    this.addRowsInTime();
  }

  addRowsInTime() {
    const watch = new IntersectionObserver(
      (entries) => entries.some((entry) => entry.isIntersecting) && this.showUntil(this.shown + ROWS_AT_ONCE),
      { rootMargin: ROWS_AHEAD },
    );
    watch.observe(this.more);
    addEventListener("beforeprint", () => this.showUntil(this.found.length));
  }

  /** What the list holds, in its order. */
  get keys() {
    return this.found.map((question) => question.key);
  }

  /** Show what the filters select; `least` rows at once. */
  show(filters, least = 0) {
    this.filters = filters;
    this.found = selected(this.run, filters);
    this.columns = this.metricColumns();
    this.form.write(filters);
    this.writeCount();
    fill(this.head, this.headings());
    this.body.replaceChildren();
    this.shown = 0;
    this.table.hidden = this.found.length === 0;
    this.table.setAttribute("aria-rowcount", this.found.length + 1);
    this.showUntil(Math.max(least, ROWS_AT_ONCE));
  }

  writeCount() {
    const [found, all] = [this.found.length, this.run.questions.length];
    const whole = plural(all, "question");
    const some = found === 0 ? "No question matches" : `${grouped(found)} of ${whole}`;
    this.count.textContent = found === all ? whole : some;
    this.resetButton.hidden = !anyFilter(this.filters);
  }

  reset() {
    this.onFilter(parseFilters(""));
    this.form.focus();
  }

  // ---- Columns ---------------------------------------------------------------------------------

  /** The first metrics, and those that the reader chose. */
  metricColumns() {
    const { metrics } = this.run;
    return metrics.filter((metric, index) => index < MOST_METRIC_COLUMNS || this.isChosen(metric));
  }

  isChosen(metric) {
    return metric === this.filters.metric || this.filters.sort.replace(/^-/, "") === `metric:${metric}`;
  }

  metricClass(metric) {
    return `metric-column number ${this.isChosen(metric) ? "chosen" : `column-${this.columns.indexOf(metric)}`}`;
  }

  headings() {
    return element(
      "tr",
      { "aria-rowindex": 1 },
      this.heading("State", "state", "state-column"),
      this.heading("Question", "question"),
      this.columns.map((metric) =>
        this.heading(breakable(clipped(metric, 40)), `metric:${metric}`, this.metricClass(metric)),
      ),
      this.run.compared && this.heading("Change", "change", "change-column"),
      this.heading("Time", "time", "time-column number"),
    );
  }

  heading(label, sort, name = null) {
    const button = element("button", { type: "button", "data-sort": sort, onclick: () => this.sortBy(sort) }, label);
    return element("th", { scope: "col", class: name, "aria-sort": this.ariaSort(sort) }, button);
  }

  ariaSort(sort) {
    const current = this.filters.sort || "state";
    if (current === sort) return "ascending";
    return current === `-${sort}` ? "descending" : null;
  }

  /** By a column, or the other way round where that is so already; of times the longest come first. */
  sortBy(sort) {
    const directions = sort === "time" ? ["-time", "time"] : [sort, `-${sort}`];
    const next = this.filters.sort === directions[0] ? directions[1] : directions[0];
    this.onFilter({ ...this.filters, sort: next });
    this.head.querySelector(`[data-sort="${CSS.escape(sort)}"]`)?.focus();
  }

  // ---- Rows ------------------------------------------------------------------------------------

  /** The next rows; the focus goes to the first of them. */
  showMore() {
    const first = this.shown;
    this.showUntil(first + ROWS_AT_ONCE);
    this.body.rows[first]?.querySelector("a").focus();
  }

  showUntil(count) {
    const until = Math.min(count, this.found.length);
    const rows = [];
    for (; this.shown < until; this.shown += 1) rows.push(this.row(this.found[this.shown], this.shown));
    this.body.append(...rows);
    const left = this.found.length - this.shown;
    this.more.hidden = left === 0;
    this.moreButton.textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more of ${grouped(left)}`;
  }

  /** A question's link, its row added if it is not there yet; null where the list does not hold it. */
  linkOf(key) {
    const index = this.keys.indexOf(key);
    if (index < 0) return null;
    this.showUntil(Math.max(this.shown, index + 1));
    return this.body.rows[index].querySelector("a");
  }

  row(question, index) {
    return element(
      "tr",
      { "aria-rowindex": index + 2 },
      element("td.state-column", stateBadge(question.state)),
      element("th", { scope: "row" }, questionCell(question)),
      this.columns.map((metric) => scoreCell(question.byMetric.get(metric), this.metricClass(metric))),
      this.run.compared && changeCell(question),
      element("td.time-column.number", question.state === "not run" ? "–" : question.time.total),
    );
  }
}

function questionCell(question) {
  const tags = question.tags.map((tag) => isolated(clipped(tag, 40), { class: "chip" }));
  const fault = element("p.beneath.fault", { dir: "auto" }, clipped(question.diagnosis ?? question.outcome, 240));
  return [
    element("a", { href: questionAddress(question.key), dir: "auto" }, clipped(question.question, 200)),
    element(
      "p.beneath",
      isolated(clipped(question.id, 100), { class: "id" }),
      tags,
      question.expected && " expected to fail",
    ),
    question.state !== "passed" && fault,
  ];
}

function scoreCell(score, name) {
  if (!score) return element("td.none", { class: name }, "–");
  const cell = element(`td.score-${slug(score.status)}`, { class: name });
  if (score.value === null) append(cell, [NOT_MEASURED[score.status]]);
  else if (score.status === "failed")
    append(cell, [
      element("span", { "aria-hidden": "true" }, "▾ "),
      score.value.toFixed(2),
      element("span.unseen", " failed"),
    ]);
  else append(cell, [score.value.toFixed(2)]);
  return cell;
}

function changeCell(question) {
  const { changed, change } = question;
  const words = { broke: () => `broke ${change.broke.join(", ")}`, changed: () => change.cause };
  const tones = { broke: "score-failed", same: "none" };
  const told = words[changed]?.() ?? changed;
  return element("td.change-column", { class: tones[changed] }, clipped(told, 80));
}
