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

function anyFilter(filters) {
  return filters.state.length > 0 || SINGLE.some((name) => name !== "sort" && filters[name]);
}

/** The questions that pass the filters, in their order. */
function selected(run, filters) {
  const words = filters.q.toLowerCase().split(/\s+/).filter(Boolean);
  const found = run.questions.filter((question) => passes(run, question, filters, words));
  return sorted(found, filters.sort);
}

function passes(run, question, filters, words) {
  if (filters.state.length && !filters.state.includes(question.state)) return false;
  if (filters.tag && !question.tags.includes(filters.tag)) return false;
  if (filters.fault && question.fault !== filters.fault) return false;
  if (filters.dataset && question.dataset !== filters.dataset) return false;
  if (filters.variant && question.variant !== filters.variant) return false;
  if (filters.change && changeOf(question) !== filters.change) return false;
  if (filters.metric) {
    const score = question.byMetric.get(filters.metric);
    if (!score || (filters.outcome && score.status !== filters.outcome)) return false;
  }
  return words.every((word) => run.searchText(question).includes(word));
}

/** By a column's name, downwards with "-" before it; without one what broke or failed first, then as they were asked. */
function sorted(questions, sort) {
  const descending = sort.startsWith("-");
  const value = sortValue(descending ? sort.slice(1) : sort);
  const keyed = questions.map((question) => [value(question), question]);
  const sign = descending ? -1 : 1;
  keyed.sort(([one, first], [other, second]) => {
    if (one === null || other === null) return (one === null) - (other === null) || first.index - second.index;
    if (one === other) return first.index - second.index;
    return one < other ? -sign : sign;
  });
  return keyed.map(([, question]) => question);
}

function sortValue(column) {
  if (column.startsWith("metric:")) {
    const metric = column.slice("metric:".length);
    return (question) => question.byMetric.get(metric)?.value ?? null;
  }
  if (column === "question") return (question) => question.id.toLowerCase();
  if (column === "time") return (question) => question.time.finished - question.time.started;
  if (column === "change") return (question) => worstDifference(question);
  return (question) => STATES.indexOf(question.state) - (question.change?.broke.length ? 1 : 0);
}

function worstDifference(question) {
  const differences = question.scores.map((score) => score.change?.difference).filter((difference) => typeof difference === "number");
  return differences.length ? Math.min(...differences) : null;
}
