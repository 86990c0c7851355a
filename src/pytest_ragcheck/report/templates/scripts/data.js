// The run, as the page holds it.

/** The page's data; large data stands compressed in the page. */
async function readData() {
  const block = document.getElementById("data");
  const text = block.dataset.encoding === "deflate" ? await inflated(block.textContent) : block.textContent;
  block.remove();
  return JSON.parse(text);
}

function inflated(text) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : bytesOf(atob(text));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
}

/** For browsers that cannot decode base64 to bytes themselves. */
function bytesOf(binary) {
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = binary.charCodeAt(index);
  return bytes;
}

/** The run, and of each question what is looked up often. */
class Run {
  constructor({ questions, texts, metrics, compared }) {
    Object.assign(this, { questions, texts, metrics, compared });
    this.byKey = new Map(questions.map((question) => [question.key, question]));
    questions.forEach((question, index) => {
      question.index = index;
      question.byMetric = new Map(question.scores.map((score) => [score.metric, score]));
      question.changed = changeOf(question);
    });
    const times = questions.map((question) => question.time).filter((time) => time.finished > 0);
    /** When the first question started and the last one was done, in seconds; before that the run was set up. */
    this.started = times.reduce((first, time) => Math.min(first, time.begun), Infinity);
    this.finished = times.reduce((last, time) => Math.max(last, time.finished), 0);
  }

  /** The distinct values of a field, or of the entries of a field that is a list, with how many questions have them. */
  counts(field) {
    const counts = new Map();
    for (const value of this.questions.flatMap((question) => question[field])) {
      if (value !== null && value !== "") counts.set(value, (counts.get(value) ?? 0) + 1);
    }
    return counts;
  }
}

/** How a question stands against the baseline. */
function changeOf({ change, scores }) {
  if (change === null) return "new";
  if (change.broke.length) return "broke";
  if (scores.some((score) => score.change?.difference && !score.change.noise)) return "moved";
  return change.cause === null ? "same" : "changed";
}

/** What a search looks through, folded; made when it is first asked for. */
function searchText(question) {
  const { id, reference, answer, outcome, diagnosis } = question;
  const texts = [id, question.question, reference, answer?.text, outcome, diagnosis];
  question.folded ??= texts.filter(Boolean).join("\n").toLowerCase();
  return question.folded;
}
