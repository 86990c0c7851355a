"""The documentation holds: examples run, quoted files and output are as quoted, generated pages are up to date.

In a page a code block may follow one of these comments:

- ``<!-- file: example/name -->``: the block stands word for word in that file of ``docs/how-to/examples``.
- ``<!-- run: example -->`` or ``<!-- run: example; needs: faiss xdist -->``: a console block. Each command is run in a
  copy of the example, the commands of a page one after another in the same copy; the lines under it stand in its
  output in that order. Times may differ; ``...`` on a line of its own stands for any lines, ``…`` for any text.
- ``<!-- edit: example/name -->``: a diff block. Its removed lines stand in that file of the copy, one after another, and
  are replaced by the added ones before the commands that follow.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_ragcheck.dataset import load_questions

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "how-to" / "examples"
PAGES = sorted(DOCS.rglob("*.md"))
TEXT_PAGES = [*(page for page in PAGES if EXAMPLES not in page.parents), ROOT / "CONTRIBUTING.md"]

BLOCK = re.compile(
    r"(?:^<!-- (?P<about>[^\n]*?) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
TIME = re.compile(
    r"\b\d[\d.,]* ?(?:ms|s|min|h)\b(?: \d\d (?:min|s)\b)?"  # 0.4 ms, 9.81 s, 1 min 04 s, 1 h 02 min
    r"(?: \((?:\d+ days?, )?\d+:\d\d:\d\d\))?"  # as pytest puts it after more than a minute: 64.35s (0:01:04)
)
"""A duration, however long it is."""
PROGRESS = re.compile(r"ragcheck: \d[\d,]*/\d[\d,]* questions\b")
UNDER_WAY = re.compile(r"\S+\.\w+ [.a-zA-Z]*")
"""The line of a file whose items are not all done."""
HANGS = 300
"""Seconds, against hangs alone."""
NEEDED_MODULES = {
    "anthropic": "anthropic",
    "deepeval": "deepeval",
    "faiss": "faiss",
    "haystack": "haystack",
    "langchain": "langchain_text_splitters",
    "llamaindex": "llama_index",
    "tokenizers": "tokenizers",
    "xdist": "xdist",
}
WARM_FIXTURES = {"deepeval": "warm_deepeval", "anthropic": "warm_sdk"}


class Block(NamedTuple):
    """A code block and the comment above it."""

    page: str
    language: str
    kind: str
    argument: str
    needs: tuple[str, ...]
    code: str


def blocks():
    found = []
    for page in TEXT_PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            kind, _, rest = (match["about"] or "").partition(": ")
            argument, _, needs = rest.partition("; needs: ")
            name = page.relative_to(ROOT).as_posix()
            found.append(Block(name, match["language"], kind, argument, tuple(needs.split()), match["code"]))
    return found


BLOCKS = blocks()


def sessions():
    """The console and diff blocks of each page and example, in the page's order."""
    grouped = {}
    for block in BLOCKS:
        if block.kind in {"run", "edit"}:
            grouped.setdefault((block.page, block.argument.partition("/")[0]), []).append(block)
    return grouped


# ---- Generated pages and names ---------------------------------------------------------------


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("ragcheck_docs_generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["options.md", "configuration.md", "fixtures.md", "metrics.md"])
def test_generated_pages_are_up_to_date(generate, name):
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")

    assert written == generate.pages()[name], "run: python docs/generate.py"


def test_the_schema_of_runs_is_up_to_date(generate):
    assert (DOCS / "run.schema.json").read_text(encoding="utf-8") == generate.run_schema(), "python docs/generate.py"


def test_every_option_that_a_page_names_is_declared(generate):
    declared = {name for name, _ in generate.declared_options()}
    named = {
        (page.name, option)
        for page in TEXT_PAGES
        for option in re.findall(r"--ragcheck(?:-\w+)*", page.read_text(encoding="utf-8"))
    }

    assert {entry for entry in named if entry[1] not in declared} == set()
    assert {option for _, option in named} == declared


def test_every_fixture_that_a_page_names_is_there(generate):
    fixtures = {name for name, _, _ in generate.public_fixtures()}
    named = {name for page in TEXT_PAGES for name in re.findall(r"\bragcheck_\w+", page.read_text(encoding="utf-8"))}

    assert named == fixtures


@pytest.mark.parametrize("page", TEXT_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        place = page if not path else (page.parent / path).resolve()
        assert place.exists(), target
        if anchor:
            assert anchor in anchors(place), target


def anchors(page):
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_contributing_names_the_rooms_of_each_floor():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    floors = [set(layer.split(" | ")) for layer in layers]
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \d+ \| (.*?) \|", page, re.MULTILINE)

    assert [set(re.findall(r"`(\w+)(?:\.py|/)`", row)) for row in rows] == floors


def test_contributing_names_every_module_that_tests_are_skipped_without():
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = page.partition("| environment | has |")[2].partition("\n\n")[0]
    named = {module for row in table.splitlines()[2:] for module in re.findall(r"`(\w+)`", row.split("|")[2])}

    assert named == set(modules_that_tests_need()) - sys.stdlib_module_names


def modules_that_tests_need():
    """Top-level modules that the tests import where they are there, and look for."""
    yield from NEEDED_MODULES.values()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and re.search(r"\b(importorskip|find_spec)$", ast.unparse(node.func)):
                yield from (one.value.partition(".")[0] for one in node.args[:1] if isinstance(one, ast.Constant))
            elif isinstance(node, ast.Try) and any(
                ast.unparse(one.type or node) == "ImportError" for one in node.handlers
            ):
                yield from (one.module.partition(".")[0] for one in node.body if isinstance(one, ast.ImportFrom))


# ---- Quoted code -----------------------------------------------------------------------------


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.kind == "file"], ids=lambda block: block.argument)
def test_quoted_files_are_as_quoted(block):
    assert block.code in (EXAMPLES / block.argument).read_text(encoding="utf-8")


def test_python_blocks_are_quoted_from_examples():
    """So that each of them runs; CONTRIBUTING shows pieces of this project."""
    loose = [
        block for block in BLOCKS if block.language == "python" and block.kind != "file" and "how-to" in block.page
    ]

    assert [block.code for block in loose] == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=lambda block: block.page)
def test_configurations_are_valid(block, tmp_path):
    from pytest_ragcheck.session.config import load_settings

    table = tomllib.loads(block.code)
    name = "pyproject.toml" if "tool" in table else "ragcheck.toml"
    (tmp_path / name).write_text(block.code, encoding="utf-8")

    assert load_settings(tmp_path, invocation=tmp_path).root == tmp_path


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "yaml" and block.code.startswith("- ")],
    ids=lambda b: b.page,
)
def test_questions_are_valid(block, tmp_path):
    path = tmp_path / "questions.yaml"
    path.write_text(block.code, encoding="utf-8")

    assert load_questions(path, name="questions.yaml")


def test_the_four_formats_hold_the_same_questions():
    paths = [EXAMPLES / "question-files" / f"questions.{suffix}" for suffix in ("yaml", "json", "jsonl", "csv")]
    yaml, *others = [[replace(q, line=None) for q in load_questions(path, name="questions")] for path in paths]

    assert len(yaml) == 2
    assert others == [yaml, yaml, yaml]


def test_other_tools_rows_hold_the_same_question():
    paths = [EXAMPLES / "question-files" / name for name in ("deepeval-goldens.json", "ragas-testset.csv")]
    [deepeval], [ragas] = [[replace(q, line=None) for q in load_questions(path, name="questions")] for path in paths]

    assert deepeval == ragas
    assert deepeval.gold[0][0].text == "Up to five days of leave can be carried over"


# ---- Examples --------------------------------------------------------------------------------


def test_every_example_is_run():
    assert {example for _, example in sessions()} == {path.name for path in EXAMPLES.iterdir() if path.is_dir()}


@pytest.mark.parametrize(
    ("page", "example"), [pytest.param(*key, id=f"{Path(key[0]).stem}-{key[1]}") for key in sessions()]
)
def test_commands_print_what_the_page_quotes(page, example, tmp_path, request):
    folder = tmp_path / example
    shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for block in sessions()[page, example]:
        for module in block.needs:
            if find_spec(NEEDED_MODULES[module]) is None:
                pytest.skip(f"needs {module}")
        if block.kind == "edit":
            edit(folder / block.argument.partition("/")[2], block.code)
            continue
        for command, quoted in commands(block.code):
            assert_quoted(quoted, run(command, folder, request.getfixturevalue(warm_fixture(block))))


def warm_fixture(block):
    """The one of tests/conftest.py that has imported what takes longest of what the block needs."""
    return next((name for module, name in WARM_FIXTURES.items() if module in block.needs), "warm_pytest")


def edit(path, diff):
    """Make the change that a diff block shows."""
    lines = diff.splitlines(keepends=True)
    removed, added = ("".join(line[1:] for line in lines if line[0] == mark) for mark in "-+")
    text = path.read_text(encoding="utf-8")
    assert text.count(removed) == 1, f"not once in {path.name}:\n{removed}"
    path.write_text(text.replace(removed, added), encoding="utf-8")


def commands(code):
    """Each command of a console block with the lines under it."""
    first, *parts = re.split(r"^\$ ", code, flags=re.MULTILINE)
    assert not first.strip(), "a console block starts with a command"
    for part in parts:
        command, *lines = part.rstrip("\n").split("\n")
        assert any(line not in {"", "..."} for line in lines), f"no output is quoted for {command}"
        yield command, lines


def run(command, folder, warm_pytest):
    program, *arguments = shlex.split(command)
    if program == "python":
        done = subprocess.run([sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, text=True, check=False)
        assert done.returncode in {0, 1}  # 1: a command found something
        return done.stdout.splitlines()
    assert program == "pytest"
    environment = {
        "COLUMNS": "100",
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "PYTEST_ADDOPTS": "-p no:deepeval",
        "PYTEST_DEBUG_TEMPROOT": str(folder.parent),
    }
    result = warm_pytest.run(arguments, cwd=folder, environment=environment, timeout=HANGS)
    return [*without_progress(result.outlines), *result.errlines]


def without_progress(lines):
    """What was printed, without the lines of progress that a slow run has; those break the line that pytest is at."""
    kept, is_broken = [], False
    for line in lines:
        if PROGRESS.match(line):
            is_broken = bool(kept) and UNDER_WAY.fullmatch(kept[-1]) is not None
        elif is_broken:
            kept[-1] += line
            is_broken = False
        else:
            kept.append(line)
    return kept


def assert_quoted(quoted, printed):
    """Every quoted line stands in the output, in order; without ``...`` between them one stands right after another."""
    output = [line for line in map(normalized, printed) if line]
    position, may_skip = 0, True
    for line in quoted:
        if line.strip() == "...":
            may_skip = True
        elif wanted := normalized(line):
            candidates = range(position, len(output) if may_skip else min(position + 1, len(output)))
            found = next((place for place in candidates if matches(output[place], wanted)), None)
            assert found is not None, f"not printed here: {line!r}\nfrom: {output[position : position + 12]}"
            position, may_skip = found + 1, False


def matches(line, wanted):
    pattern = re.sub(r"([\[\]*?])", r"[\1]", wanted).replace("…", "*")
    return fnmatchcase(line, pattern)


def normalized(line):
    """Without what differs from run to run (times), and without pytest's borders and the width of columns."""
    line = TIME.sub("<time>", line)
    line = re.sub(r"\b\d[\d.,]* x (faster|slower)|\bthe same\b|\bas fast\b", "<ratio>", line)
    line = re.sub(r"\b\d{4}-\d\d-\d\dT[\d:+]+", "<when>", line)
    return " ".join(line.strip("= ").split())


@pytest.mark.parametrize(
    ("quoted", "printed"),
    [
        ("3 passed in 9.81s", "======= 3 passed in 64.35s (0:01:04) ======="),
        ("3 passed in 9.81s", "3 passed in 90061.00s (1 day, 1:01:01)"),
        ("  setup  9.8 ms   0.4 ms", "  setup    1 min 04 s   1 h 02 min"),
        ("the questions took 2.1 x faster", "the questions took as fast"),
    ],
)
def test_a_slow_machine_prints_what_a_page_quotes(quoted, printed):
    assert_quoted([quoted], [printed])


def test_lines_of_progress_are_not_part_of_what_a_page_quotes():
    printed = [
        "collected 4 items",
        "",
        "test_own.py ",
        "ragcheck: 1/4 questions, 6 s",
        "ragcheck: 2/4 questions, 11 s",
        "..F.  [100%]",
        "",
    ]

    assert without_progress(printed) == ["collected 4 items", "", "test_own.py ..F.  [100%]", ""]
    assert without_progress(["4 items", "ragcheck: 3/4 questions, 6 s", "then"]) == ["4 items", "then"]


def test_times_alone_are_let_pass():
    with pytest.raises(AssertionError, match="not printed here"):
        assert_quoted(["3 passed in 9.81s"], ["2 passed in 9.81s"])


# ---- Troubleshooting -------------------------------------------------------------------------


def message_templates():
    """Every string of the sources, with … where a value is filled in."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_tests_that_a_page_names_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"))
    missing = [
        (path, name)
        for path, name in named
        if not (ROOT / path).exists() or not re.search(rf"def {name}\b" if name else "", (ROOT / path).read_text())
    ]
    assert len(named) > 25
    assert missing == []


def test_troubleshooting_quotes_messages_that_are_there():
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### `(.*)`$", page, re.MULTILINE)
    templates = [" ".join(template.split()) for template in message_templates()]

    assert len(quoted) > 15
    missing = [
        message
        for message in quoted
        if not any(all(part in template for part in message.split("…")) for template in templates)
    ]
    assert missing == []


# ---- Groundedness ----------------------------------------------------------------------------


def groundedness_table():
    """The context and the rows of the table that says what groundedness sees."""
    page = (DOCS / "how-to" / "choose-metrics.md").read_text(encoding="utf-8")
    section = page.partition("## What groundedness sees")[2]
    context = re.search(r"^> (.*)$", section, re.MULTILINE)[1]
    rows = re.findall(r"^\| (.*?) \| (\d\.\d\d) \|", section, re.MULTILINE)
    return [(context, answer, value) for answer, value in rows]


@pytest.mark.parametrize(("context", "answer", "value"), groundedness_table())
@pytest.mark.asyncio
async def test_groundedness_sees_what_the_table_says(context, answer, value):
    from pytest_ragcheck.metrics.base import Case
    from pytest_ragcheck.metrics.text import Groundedness
    from pytest_ragcheck.model import Answer, Context, Question

    question = Question(id="q", question="?")
    case = Case(question=question, contexts=(Context(text=context, rank=1),), answer=Answer(text=answer))

    assert f"{(await Groundedness().measure(case)).value:.2f}" == value
