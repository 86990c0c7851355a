// Which view the address asks for. The address is the part after "#", so that it works in a file too.

function questionAddress(key) {
  return `#/question/${encodeURIComponent(key)}`;
}

/** The view's name, and what the address says of it. */
function parseAddress(hash) {
  const [path, query = ""] = hash.replace(/^#/, "").split(/\?(.*)/s);
  const [, name = "", ...rest] = path.split("/");
  if (name === "question") return { view: "question", key: decoded(rest.join("/")) };
  if (name === "questions") return { view: "questions", filters: parseFilters(query) };
  if (name === "timeline") return { view: "timeline" };
  return { view: "overview" };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

class Pages {
  constructor(run) {
    this.run = run;
    this.title = document.title;
    this.list = new QuestionList(run, document.getElementById("questions"), (filters) => this.filter(filters));
    this.list.show(parseFilters(""));
    this.bars = new QuestionBars(run, document.getElementById("times"));
    this.open = null;
    this.view = null;
    history.scrollRestoration = "manual";
    // The entry that is left keeps how far it was scrolled.
    addEventListener("click", (event) => event.target.closest?.("a[href^='#/']") && this.keepScroll(), { capture: true });
    addEventListener("beforeprint", () => {
      for (const details of document.querySelectorAll("main > section:not([hidden]) details")) details.open = true;
    });
    addEventListener("hashchange", () => this.go());
    this.go({ first: true });
  }

  keepScroll() {
    history.replaceState({ scroll: scrollY, rows: this.list.shown }, "");
  }

  /** Show what the address asks for, and move the focus to it. */
  go({ first = false } = {}) {
    if (location.hash !== "" && !location.hash.startsWith("#/")) return;
    const address = parseAddress(location.hash);
    const state = history.state;
    const before = this.view === "question" ? this.open?.key : null;
    this.view = address.view;
    const heading = this[address.view](address, state);
    for (const section of document.querySelectorAll("main > section")) section.hidden = section.dataset.view !== address.view;
    const current = address.view === "question" ? "questions" : address.view;
    for (const link of document.querySelectorAll(".top nav a")) {
      if (link.dataset.view === current) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${heading} · ragcheck`;
    if (first && location.hash === "") return;
    this.focus(address.view, state, before);
  }

  focus(view, state, before) {
    const section = document.querySelector(`main > section[data-view="${view}"]`);
    const link = view === "questions" && before && state ? this.list.linkOf(before) : null;
    (link ?? section.querySelector("h1")).focus({ preventScroll: true });
    scrollTo({ top: state?.scroll ?? 0, behavior: "instant" });
  }

  overview() {
    return this.title.replace(/ · ragcheck$/, "");
  }

  timeline() {
    this.bars.show();
    return "Where the time went";
  }

  questions({ filters }, state) {
    this.list.show(filters, state?.rows ?? 0);
    for (const link of document.querySelectorAll(".top nav a[data-view='questions']")) link.setAttribute("href", this.listAddress());
    return "Questions";
  }

  question({ key }) {
    const place = document.getElementById("question");
    this.open = this.run.byKey.get(key) ?? null;
    if (this.open === null) {
      fill(place, element("h1", { id: "question-heading", tabindex: "-1" }, "No such question"),
        element("p", {}, "This run holds no question ", isolated(key), ". ", element("a", { href: "#/questions" }, "All questions")));
      return "No such question";
    }
    showQuestion(place, this.run, this.open, this.neighbours(key));
    return this.open.id;
  }

  /** Where a question stands in the list as it is filtered now. */
  neighbours(key) {
    const keys = this.list.keys();
    const index = keys.indexOf(key);
    const at = (place) => (index < 0 ? null : (keys[place] ?? null));
    return { back: this.listAddress(), previous: at(index - 1), next: at(index + 1), place: index + 1, total: index < 0 ? 0 : keys.length };
  }

  listAddress() {
    const query = formatFilters(this.list.filters);
    return query ? `#/questions?${query}` : "#/questions";
  }

  /** Other filters: the address says so, without an entry of its own in the history. */
  filter(filters) {
    const query = formatFilters(filters);
    history.replaceState(null, "", query ? `#/questions?${query}` : "#/questions");
    this.questions({ filters });
  }
}
