// Begin: read the data, then show what the address asks for.

for (const link of document.querySelectorAll(".skip")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("content").focus();
  });
}

readData().then(
  (data) => {
    new Pages(new Run(data));
    performance.mark("ready");
    document.documentElement.dataset.ready = "";
  },
  (problem) => {
    document
      .getElementById("questions")
      .append(element("p", { class: "notice" }, `This page's data cannot be read (${problem.message}).`));
    throw problem;
  },
);
