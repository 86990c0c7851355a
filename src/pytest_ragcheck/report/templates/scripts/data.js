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

/** The run with what is looked up often. */
class Run {
  constructor(data) {
    this.questions = data.questions;
    this.texts = data.texts;
    this.metrics = data.metrics;
    this.compared = data.compared;
    const asked = data.questions.filter((question) => question.time.finished > 0);
    /** When the first question started and the last one was done, in seconds; before that the run was set up. */
    this.started = asked.reduce((first, question) => Math.min(first, question.time.started), Infinity);
    this.finished = asked.reduce((last, question) => Math.max(last, question.time.finished), 0);
    this.byKey = new Map(data.questions.map((question) => [question.key, question]));
    data.questions.forEach((question, index) => {
      question.index = index;
      question.byMetric = new Map(question.scores.map((score) => [score.metric, score]));
    });
  }

  /** The distinct values of a field, or of the entries of a field that is a list, with how many questions have them. */
  values(field) {
    const counts = new Map();
    for (const question of this.questions) {
      for (const value of [question[field]].flat()) {
        if (value !== null && value !== "") counts.set(value, (counts.get(value) ?? 0) + 1);
      }
    }
    return counts;
  }

  /** What a search looks through, folded; made when it is first asked for. */
  searchText(question) {
    question.folded ??= [question.id, question.question, question.reference, question.answer?.text, question.outcome, question.diagnosis]
      .filter(Boolean)
      .join("\n")
      .toLowerCase();
    return question.folded;
  }
}

/** How a question stands against the baseline. */
function changeOf(question) {
  if (question.change === null) return "new";
  if (question.change.broke.length) return "broke";
  if (question.scores.some((score) => score.change?.difference && !score.change.noise)) return "moved";
  return question.change.cause === null ? "same" : "changed";
}
