// Which view the address asks for. The address is the part after "#", so that it works in a file too.

const OWN_LINK = "a[href^='#/']";

function questionAddress(key) {
  return `#/question/${encodeURIComponent(key)}`;
}

/** The view's name, and what the address says of it. */
function parseAddress(hash) {
  const [path, query] = split(hash.replace(/^#\/?/, ""), "?");
  const [view, rest] = split(path, "/");
  if (view === "question") return { view, key: decoded(rest) };
  if (view === "questions") return { view, filters: parseFilters(query) };
  return { view: view === "timeline" ? view : "overview" };
}

function split(text, separator) {
  const place = text.indexOf(separator);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Shows the view that the address asks for, and moves the focus to it. */
class Pages {
  constructor(run) {
    this.run = run;
    this.headline = document.getElementById("overview-heading").textContent;
    this.list = new QuestionList(run, document.getElementById("questions"), (filters) => this.filter(filters));
    this.bars = new QuestionBars(run, document.getElementById("times"));
    this.view = null;
    this.asked = null;
    this.listPlace = null;
    history.scrollRestoration = "manual";
    addEventListener("click", (event) => event.target.closest?.(OWN_LINK) && this.keepPlace(), { capture: true });
    addEventListener("beforeprint", unfold);
    addEventListener("hashchange", () => this.go());
    this.go();
  }

  /** How far the page was scrolled stays with the entry of the history that is left. */
  keepPlace() {
    const place = { scroll: scrollY, rows: this.list.shown };
    history.replaceState(place, "");
    if (this.view === "questions") this.listPlace = place;
  }

  go() {
    if (location.hash !== "" && !location.hash.startsWith("#/")) return;
    const address = parseAddress(location.hash);
    const cameFrom = this.view === "question" ? this.asked : null;
    const isFirst = this.view === null;
    const place = history.state ?? (cameFrom === null ? null : this.listPlace);
    const title = this[address.view](address, place);
    this.reveal(address.view, title);
    if (!isFirst || location.hash !== "") this.focus(place, cameFrom);
  }

  reveal(view, title) {
    this.view = view;
    document.title = `${title} · ragcheck`;
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.dataset.view !== view;
    const current = view === "question" ? "questions" : view;
    for (const link of document.querySelectorAll(".top nav a")) {
      if (link.dataset.view === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** To the heading; back in the list to the question that the reader came from. */
  focus(place, cameFrom) {
    const isReturn = this.view === "questions" && place !== null && cameFrom !== null;
    const link = isReturn ? this.list.linkOf(cameFrom) : null;
    const heading = document.querySelector(`main > section[data-view="${this.view}"] h1`);
    (link ?? heading).focus({ preventScroll: true });
    const scroll = this.view === "questions" || history.state ? (place?.scroll ?? 0) : 0;
    scrollTo({ top: scroll, behavior: "instant" });
  }

  // ---- Views: each is filled, and tells its title -------------------------------------------------

  overview() {
    return this.headline;
  }

  questions({ filters }, place) {
    this.list.show(filters, place?.rows);
    return "Questions";
  }

  question({ key }) {
    const place = document.getElementById("question");
    const question = this.run.byKey.get(key);
    this.asked = question ? key : null;
    if (!question) {
      fill(place, unknownQuestion(key));
      return "No such question";
    }
    showQuestion(place, this.run, question, this.neighbours(key));
    return question.id;
  }

  timeline() {
    this.bars.show();
    return "Where the time went";
  }

  /** Where a question stands in the list as it is filtered now. */
  neighbours(key) {
    const { keys } = this.list;
    const index = keys.indexOf(key);
    const at = (place) => (index < 0 ? null : (keys[place] ?? null));
    const back = listAddress(this.list.filters);
    return { back, previous: at(index - 1), next: at(index + 1), place: index + 1, total: index < 0 ? 0 : keys.length };
  }

  /** Other filters: the address says so, without an entry of its own in the history. */
  filter(filters) {
    history.replaceState(null, "", listAddress(filters));
    this.list.show(filters);
  }
}

function unknownQuestion(key) {
  return [
    element("h1", { id: "question-heading", tabindex: "-1" }, "No such question"),
    element(
      "p",
      "This run holds no question ",
      isolated(key),
      ". ",
      element("a", { href: "#/questions" }, "All questions"),
    ),
  ];
}

/** On paper nothing can be unfolded. */
function unfold() {
  for (const details of document.querySelectorAll("main > section:not([hidden]) details")) details.open = true;
}
