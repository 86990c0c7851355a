// Which questions are listed, in which order: kept in the page's address.

const STATES = ["failed", "error", "not run", "passed"];
const OUTCOMES = {
  failed: "failed",
  error: "could not be measured",
  passed: "passed",
  reported: "only reported",
  "not applicable": "not applicable",
};
const SINGLE = ["q", "tag", "metric", "outcome", "fault", "change", "dataset", "variant", "sort"];

/** From an address's query: state is a list, the rest are texts. */
function parseFilters(query) {
  const parameters = new URLSearchParams(query);
  const filters = { state: (parameters.get("state") ?? "").split(",").filter(Boolean) };
  for (const name of SINGLE) filters[name] = parameters.get(name) ?? "";
  return filters;
}

function formatFilters(filters) {
  const parameters = new URLSearchParams();
  if (filters.state.length) parameters.set("state", filters.state.join(","));
  for (const name of SINGLE) if (filters[name]) parameters.set(name, filters[name]);
  return parameters.toString();
}

function listAddress(filters) {
  const query = formatFilters(filters);
  return query ? `#/questions?${query}` : "#/questions";
}

function anyFilter(filters) {
  return filters.state.length > 0 || SINGLE.some((name) => name !== "sort" && filters[name]);
}

/** The questions that pass the filters, in their order. */
function selected(run, filters) {
  const words = filters.q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = run.questions.filter((question) => passes(question, filters) && says(question, words));
  return sorted(found, filters.sort);
}

/** Whether a question is what a filter of this name asks for. */
const MATCHES = {
  tag: (question, tag) => question.tags.includes(tag),
  fault: (question, fault) => question.fault === fault,
  dataset: (question, dataset) => question.dataset === dataset,
  variant: (question, variant) => question.variant === variant,
  change: (question, change) => question.changed === change,
  metric: (question, metric, { outcome }) => hasOutcome(question.byMetric.get(metric), outcome),
};

function passes(question, filters) {
  if (filters.state.length && !filters.state.includes(question.state)) return false;
  return Object.entries(MATCHES).every(
    ([name, matches]) => !filters[name] || matches(question, filters[name], filters),
  );
}

function hasOutcome(score, outcome) {
  return score !== undefined && (!outcome || score.status === outcome);
}

function says(question, words) {
  return !words.length || words.every((word) => searchText(question).includes(word));
}

/** By a column, downwards with "-" before its name; what has no value there comes last. */
function sorted(questions, sort) {
  const isDescending = sort.startsWith("-");
  const value = sortValue(isDescending ? sort.slice(1) : sort);
  const keyed = questions.map((question) => ({ question, value: value(question) }));
  keyed.sort(
    (one, other) => ordered(one.value, other.value, isDescending) || one.question.index - other.question.index,
  );
  return keyed.map(({ question }) => question);
}

function ordered(one, other, isDescending) {
  if (one === null || other === null) return (one === null) - (other === null);
  const order = (one > other) - (one < other);
  return isDescending ? -order : order;
}

/** What a column sorts by; without one the state, what broke against the baseline first. */
function sortValue(column) {
  if (column.startsWith("metric:")) {
    const metric = column.slice("metric:".length);
    return (question) => question.byMetric.get(metric)?.value ?? null;
  }
  if (column === "question") return (question) => question.id.toLowerCase();
  if (column === "time") return (question) => question.time.finished - question.time.started;
  if (column === "change") return worstDifference;
  return badness;
}

/** The smaller the worse; what failed as expected stands just before what passed. */
function badness({ changed, expected, state }) {
  if (changed === "broke") return -1;
  return expected ? STATES.indexOf("passed") - 0.5 : STATES.indexOf(state);
}

function worstDifference({ scores }) {
  const differences = scores
    .map((score) => score.change?.difference ?? null)
    .filter((difference) => difference !== null);
  return differences.length ? Math.min(...differences) : null;
}
