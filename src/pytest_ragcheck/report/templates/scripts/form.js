// The controls above the list: they show the filters, and tell when a reader changes them.

const TYPING_PAUSE = 120;

class FilterForm {
  constructor(run, onChange) {
    this.run = run;
    this.onChange = onChange;
    this.filters = parseFilters("");
    const attributes = {
      role: "search",
      "aria-label": "Filter the questions",
      onsubmit: (event) => event.preventDefault(),
    };
    this.element = element("form.filters", attributes, this.fields());
  }

  fields() {
    const { run } = this;
    const files = counted(run.counts("dataset"));
    return [
      this.search(),
      this.states(),
      this.select("tag", "Tag", counted(run.counts("tags"))),
      this.select("fault", "Fault of", counted(run.counts("fault"))),
      this.select(
        "metric",
        "Metric",
        run.metrics.map((metric) => [metric, clipped(metric, 60)]),
      ),
      this.select("outcome", "Metric's outcome", this.outcomes()),
      run.compared && this.select("change", "Against the baseline", counted(run.counts("changed"))),
      files.length > 1 && this.select("dataset", "Question file", files),
      this.select("variant", "Variant", counted(run.counts("variant"))),
      this.select("sort", "Order", this.orders(), "worst state first"),
    ];
  }

  search() {
    let pause;
    const typed = () => {
      clearTimeout(pause);
      pause = setTimeout(() => this.read(), TYPING_PAUSE);
    };
    const input = element("input", {
      type: "search",
      id: "filter-q",
      name: "q",
      autocomplete: "off",
      spellcheck: "false",
      oninput: typed,
    });
    return element(
      "div.field.search",
      element("label", { for: "filter-q" }, "Text in id, question, reference or answer"),
      input,
    );
  }

  states() {
    const counts = this.run.counts("state");
    const present = STATES.filter((state) => counts.has(state));
    const toggles = present.map((state) => this.toggle(state, counts.get(state)));
    return present.length > 1 && element("fieldset", element("legend", "State"), element("div.toggles", toggles));
  }

  toggle(state, count) {
    const box = element("input", { type: "checkbox", name: "state", value: state, onchange: () => this.read() });
    return element(
      `label.toggle.state-${slug(state)}`,
      box,
      icon(slug(state)),
      state,
      element("span.count", grouped(count)),
    );
  }

  /** A choice of [value, label] pairs, or nothing where there is nothing to choose. */
  select(name, label, choices, none = "any") {
    if (!choices.length) return null;
    const id = `filter-${name}`;
    const options = [["", none], ...choices].map(([value, text]) => element("option", { value }, text));
    const control = element("select", { id, name, onchange: () => this.read() }, options);
    return element("div.field", element("label", { for: id }, label), control);
  }

  outcomes() {
    const present = new Set(this.run.questions.flatMap((question) => question.scores.map((score) => score.status)));
    return Object.entries(OUTCOMES).filter(([outcome]) => present.has(outcome));
  }

  orders() {
    const byMetric = this.run.metrics.map((metric) => [`metric:${metric}`, `${clipped(metric, 60)}, lowest first`]);
    const byChange = this.run.compared ? [["change", "largest drop first"]] : [];
    return [["question", "id"], ["-time", "slowest first"], ...byChange, ...byMetric];
  }

  read() {
    const data = new FormData(this.element);
    const filters = { state: data.getAll("state") };
    for (const name of SINGLE) filters[name] = data.get(name) ?? "";
    if (!filters.sort && !this.offers(this.filters.sort)) filters.sort = this.filters.sort;
    this.onChange(filters);
  }

  /** Whether an order is among the choices; the others are asked for by a column's heading. */
  offers(sort) {
    return [...this.element.elements.sort.options].some((option) => option.value === sort);
  }

  write(filters) {
    this.filters = filters;
    for (const control of this.element.elements) {
      if (control.type === "checkbox") control.checked = filters.state.includes(control.value);
      else if (control.name && control.value !== filters[control.name]) control.value = filters[control.name];
    }
    const { outcome } = this.element.elements;
    if (outcome) outcome.disabled = !filters.metric;
  }

  focus() {
    this.element.elements.q.focus();
  }
}

/** Values with how often they occur, as choices. */
function counted(counts) {
  return [...counts].map(([value, count]) => [value, `${clipped(value, 60)} (${grouped(count)})`]);
}
