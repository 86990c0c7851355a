// The list of questions: filters above it, rows that are added as they are scrolled to.

const ROWS_AT_ONCE = 100;
const MOST_METRIC_COLUMNS = 6;
const TYPING_PAUSE = 120;

class QuestionList {
  constructor(run, place, onFilter) {
    this.run = run;
    this.place = place;
    this.onFilter = onFilter;
    this.filters = parseFilters("");
    this.found = [];
    this.shown = 0;
    this.build();
  }

  /** What the list holds now, in its order. */
  keys() {
    return this.found.map((question) => question.key);
  }

  build() {
    this.count = element("p", { class: "found", role: "status" });
    this.body = element("tbody");
    this.head = element("thead");
    this.table = element("table", { class: "list", "aria-labelledby": "questions-heading" }, this.head, this.body);
    this.moreButton = element("button", { type: "button", onclick: () => this.showMore(true) });
    this.more = element("p", { class: "more", hidden: true }, this.moreButton);
    this.form = this.buildForm();
    fill(this.place, this.form, this.count, this.table, this.more);
    new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && this.showMore(false), { rootMargin: "600px" })
      .observe(this.more);
    addEventListener("beforeprint", () => this.showUntil(this.found.length));
  }

  buildForm() {
    const change = () => this.readForm();
    let pause;
    const form = element("form", { class: "filters", role: "search", "aria-label": "Filter the questions", onsubmit: (event) => event.preventDefault() },
      element("div", { class: "field search" }, element("label", { for: "filter-q" }, "Text in id, question, reference or answer"),
        element("input", { type: "search", id: "filter-q", name: "q", autocomplete: "off", spellcheck: "false",
          oninput: () => { clearTimeout(pause); pause = setTimeout(change, TYPING_PAUSE); } })),
      this.stateToggles(change),
      this.select("tag", "Tag", counted(this.run.values("tags")), change),
      this.select("fault", "Fault of", counted(this.run.values("fault")), change),
      this.select("metric", "Metric", this.run.metrics.map((metric) => [metric, clipped(metric, 60)]), change),
      this.select("outcome", "Metric's outcome", this.outcomes(), change),
      this.run.compared ? this.select("change", "Against the baseline", counted(this.changes()), change) : null,
      this.select("dataset", "Question file", counted(this.run.values("dataset")), change, 2),
      this.select("variant", "Variant", counted(this.run.values("variant")), change),
      this.select("sort", "Order", this.orders(), change, 1, "worst state first"));
    return form;
  }

  stateToggles(change) {
    const counts = this.run.values("state");
    const states = STATES.filter((state) => counts.has(state));
    if (states.length < 2) return null;
    return element("fieldset", {}, element("legend", {}, "State"), element("div", { class: "toggles" }, states.map((state) =>
      element("label", { class: `toggle state-${slug(state)}` }, element("input", { type: "checkbox", name: "state", value: state, onchange: change }),
        icon(slug(state)), state, element("span", { class: "count" }, counts.get(state).toLocaleString("en"))))));
  }

  /** A choice of [value, label] pairs; none where there are fewer than `least`. */
  select(name, label, choices, change, least = 1, none = "any") {
    if (choices.length < least) return null;
    return element("div", { class: "field" }, element("label", { for: `filter-${name}` }, label),
      element("select", { id: `filter-${name}`, name, onchange: change },
        [["", none], ...choices].map(([value, text]) => element("option", { value }, text))));
  }

  outcomes() {
    const present = new Set(this.run.questions.flatMap((question) => question.scores.map((score) => score.status)));
    return Object.entries(OUTCOMES).filter(([outcome]) => present.has(outcome));
  }

  changes() {
    const counts = new Map();
    for (const question of this.run.questions) {
      const change = changeOf(question);
      counts.set(change, (counts.get(change) ?? 0) + 1);
    }
    return counts;
  }

  orders() {
    return [
      ["question", "id"],
      ["-time", "slowest first"],
      ...(this.run.compared ? [["change", "largest drop first"]] : []),
      ...this.run.metrics.map((metric) => [`metric:${metric}`, `${clipped(metric, 60)}, lowest first`]),
    ];
  }

  readForm() {
    const data = new FormData(this.form);
    const filters = { state: data.getAll("state") };
    for (const name of SINGLE) filters[name] = data.get(name) ?? "";
    // An order that only a column's heading offers.
    if (!filters.sort && this.filters.sort && !this.hasOrder(this.filters.sort)) filters.sort = this.filters.sort;
    this.onFilter(filters);
  }

  hasOrder(sort) {
    return [...this.form.elements.sort.options].some((option) => option.value === sort);
  }

  writeForm() {
    for (const control of this.form.elements) {
      if (control.type === "checkbox") control.checked = this.filters.state.includes(control.value);
      else if (control.name && control.value !== this.filters[control.name]) control.value = this.filters[control.name];
    }
    const outcome = this.form.elements.outcome;
    if (outcome) outcome.disabled = !this.filters.metric;
  }

  /** Show what the filters select; `least` rows at once. */
  show(filters, least = ROWS_AT_ONCE) {
    this.filters = filters;
    this.found = selected(this.run, filters);
    this.writeForm();
    this.writeCount();
    this.writeHead();
    this.body.replaceChildren();
    this.shown = 0;
    this.table.hidden = this.found.length === 0;
    this.table.setAttribute("aria-rowcount", this.found.length + 1);
    this.showUntil(Math.max(least, ROWS_AT_ONCE));
  }

  writeCount() {
    const [found, all] = [this.found.length, this.run.questions.length];
    const reset = element("button", { type: "button", class: "quiet", onclick: () => { this.onFilter(parseFilters("")); this.form.elements.q.focus(); } }, "Show all");
    const text = found === all ? plural(all, "question") : found === 0 ? "No question matches" : `${found.toLocaleString("en")} of ${plural(all, "question")}`;
    fill(this.count, element("span", {}, text), anyFilter(this.filters) ? reset : null);
  }

  metricColumns() {
    const columns = this.run.metrics.slice(0, MOST_METRIC_COLUMNS);
    const wanted = [this.filters.metric, this.filters.sort.replace(/^-?metric:/, "")].filter((metric) => this.run.metrics.includes(metric) && !columns.includes(metric));
    return [...columns, ...wanted];
  }

  writeHead() {
    const heading = (label, sort, attributes = {}) => element("th", { scope: "col", ...attributes, "aria-sort": this.ariaSort(sort) },
      element("button", { type: "button", "data-sort": sort, onclick: () => this.sortBy(sort) }, label));
    fill(this.head, element("tr", {},
      heading("State", "state", { class: "state-column" }),
      heading("Question", "question"),
      this.metricColumns().map((metric, index) => heading(breakable(clipped(metric, 40)), `metric:${metric}`, { class: this.metricClass(metric, index) })),
      this.run.compared ? heading("Change", "change", { class: "change-column" }) : null,
      heading("Time", "time", { class: "time-column number" })));
  }

  metricClass(metric, index) {
    const chosen = metric === this.filters.metric || this.filters.sort.endsWith(`metric:${metric}`);
    return `metric-column number ${chosen ? "chosen" : `column-${index}`}`;
  }

  ariaSort(sort) {
    if (this.filters.sort === sort || (!this.filters.sort && sort === "state")) return "ascending";
    return this.filters.sort === `-${sort}` ? "descending" : null;
  }

  sortBy(sort) {
    const first = sort === "time" ? "-time" : sort;
    const next = this.filters.sort === first ? (first.startsWith("-") ? sort : `-${sort}`) : first;
    this.onFilter({ ...this.filters, sort: next });
    this.head.querySelector(`[data-sort="${CSS.escape(sort)}"]`)?.focus();
  }

  /** The next rows; the focus goes to the first of them where a button asked for them. */
  showMore(focus) {
    const first = this.shown;
    this.showUntil(this.shown + ROWS_AT_ONCE);
    if (focus) this.body.rows[first]?.querySelector("a").focus();
  }

  showUntil(count) {
    const columns = this.metricColumns();
    const until = Math.min(count, this.found.length);
    const rows = [];
    for (; this.shown < until; this.shown += 1) rows.push(this.row(this.found[this.shown], this.shown, columns));
    this.body.append(...rows);
    const left = this.found.length - this.shown;
    this.more.hidden = left === 0;
    this.moreButton.textContent = `Show ${Math.min(left, ROWS_AT_ONCE)} more of ${left.toLocaleString("en")}`;
  }

  /** Rows up to that of a question, and its link. */
  linkOf(key) {
    const index = this.found.findIndex((question) => question.key === key);
    if (index < 0) return null;
    this.showUntil(Math.max(this.shown, index + 1));
    return this.body.rows[index].querySelector("a");
  }

  row(question, index, columns) {
    return element("tr", { "aria-rowindex": index + 2 },
      element("td", { class: "state-column" }, stateBadge(question.state)),
      element("th", { scope: "row" },
        element("a", { href: questionAddress(question.key), dir: "auto" }, clipped(question.question, 200)),
        element("p", { class: "beneath" }, isolated(clipped(question.id, 100), { class: "id" }), question.tags.map((tag) => isolated(clipped(tag, 40), { class: "chip" }))),
        question.state === "passed" ? null : element("p", { class: "beneath fault", dir: "auto" }, clipped(question.diagnosis ?? question.outcome, 240))),
      columns.map((metric, place) => this.scoreCell(question.byMetric.get(metric), this.metricClass(metric, place))),
      this.run.compared ? this.changeCell(question) : null,
      element("td", { class: "time-column number" }, question.state === "not run" ? "–" : question.time.total));
  }

  scoreCell(score, name) {
    if (!score) return element("td", { class: `${name} none` }, "–");
    const words = { failed: "failed", error: "error", "not applicable": "n/a" };
    const shown = score.value === null ? words[score.status] : [score.value.toFixed(2), score.status === "failed" ? element("span", { class: "unseen" }, " failed") : null];
    return element("td", { class: `${name} score-${slug(score.status)}` }, score.status === "failed" ? "▾ " : null, shown);
  }

  changeCell(question) {
    const change = changeOf(question);
    const words = { broke: clipped(`broke ${question.change?.broke.join(", ")}`, 80), moved: "moved", changed: question.change?.cause, new: "new", same: "same" };
    return element("td", { class: `change-column ${change === "broke" ? "score-failed" : change === "same" ? "none" : ""}` }, words[change]);
  }
}

/** Values with how often they occur, for a choice. */
function counted(counts) {
  return [...counts].map(([value, count]) => [value, `${clipped(value, 60)} (${count.toLocaleString("en")})`]);
}

function clipped(text, length) {
  return text.length <= length ? text : `${text.slice(0, length).trimEnd()}…`;
}
