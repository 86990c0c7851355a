from __future__ import annotations

import json
import re

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.commands.questions.passages import choose_passages
from pytest_ragcheck.dataset import load_questions, resolve_gold
from pytest_ragcheck.model import Document
from pytest_ragcheck.session.config_file import find_configuration
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

PAGES = {
    "leave.md": "# Leave\n\nStaff have 25 days of annual leave a year. Leave is booked in the\ncalendar well before it starts. "
    "Up to five days of it can be carried over into the next year.\n",
    "expenses.md": "# Expenses\n\nClaims for expenses are submitted within 30 days, with receipts. Meals are paid up to "
    "40 euros a day, and up to 60 abroad.\n",
    "scrap.md": "# Soon\n\nTo be written.\n",
}
HAIKU = ("--model", "anthropic:claude-haiku-5-5")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("anthropic")
    find_configuration.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any-key-at-all")
    (tmp_path / "docs").mkdir()
    for name, text in PAGES.items():
        (tmp_path / "docs" / name).write_text(text)
    return tmp_path


@pytest.fixture
def serve(monkeypatch):
    """Starts a rehearsed model; what each call gets may be given."""
    apis = []

    def start(reply=None, **behaviour):
        apis.append(MessagesApi(Behaviour(**behaviour), reply=reply))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", apis[-1].url)
        return apis[-1]

    yield start
    for api in apis:
        api.close()


@pytest.fixture
def draft(folder, capsys):
    """Runs the command on docs; output and errors, line by line."""

    def run(*arguments, code=0, documents=("docs",)):
        assert main(["questions", *documents, *arguments]) == code
        printed = capsys.readouterr()
        return printed.out.splitlines(), printed.err.splitlines()

    return run


def calls(api):
    return [exchange for exchange in api.stats.log if exchange.path == "/v1/messages"]


def drafts(folder, name="drafts.yaml"):
    """What was written, tied to the documents as a run would."""
    texts = {f"docs/{page}": text for page, text in PAGES.items()}
    return resolve_gold(load_questions(folder / name, name=name), texts)


def saying(*rows):
    """A model that gives these drafts: (question, answer, quote)."""
    names = ("question", "answer", "quote")
    return lambda request: {"questions": [dict(zip(names, row, strict=False)) for row in rows]}


def test_drafts_are_questions_with_gold_to_be_reviewed(draft, folder, serve):
    api = serve()
    out, err = draft("-n", "4", *HAIKU)

    written = drafts(folder)
    assert [question.gold[0][0].source for question in written] == ["docs/expenses.md"] * 2 + ["docs/leave.md"] * 2
    assert all(question.tags == ("draft",) and question.reference for question in written)
    assert written[3].gold[0][0].text == "Leave is booked in the\ncalendar well before it starts."
    assert err == []
    assert out[0] == "4 questions to be drafted by claude-haiku-5-5 from 2 passages of 2 documents"
    assert re.fullmatch(r"2 model calls to make, 0 from the cache, for \$0\.\d+ to \$0\.\d+", out[1])
    assert out[2] == "wrote drafts.yaml: 4 drafts, tagged 'draft'; review each"
    assert out[3] == "2 model calls, 0 from the cache"
    assert re.fullmatch(r"cost: \$0\.\d+", out[5])
    assert (folder / "drafts.yaml").read_text().startswith("# Drafts by claude-haiku-5-5, to be reviewed.\n")
    assert len(calls(api)) == 2


def test_what_was_paid_for_is_not_paid_for_again(draft, folder, serve):
    api = serve()
    draft("-n", "4", *HAIKU)
    out, _ = draft("-n", "4", "-o", "again.yaml", *HAIKU)

    assert out[1] == "everything is in the store already: no call to make"
    assert "2 model calls, 2 from the cache" in out
    assert len(calls(api)) == 2
    assert [one.question for one in drafts(folder, "again.yaml")] == [one.question for one in drafts(folder)]


def test_a_plan_calls_nothing_and_writes_nothing(draft, folder, serve):
    api = serve()
    out, _ = draft("-n", "4", "--plan", *HAIKU)

    assert out[1:3] == ["plan: nothing was called", "  2 model calls to make, 0 from the cache"]
    assert any(line.startswith("  cost: $0.0") for line in out)
    assert api.stats.requests == 0
    assert sorted(path.name for path in folder.iterdir()) == ["docs"]


def test_what_cannot_be_used_is_dropped_and_counted(draft, folder, serve):
    kept = ("How many days?", "25 days.", "Staff have 25 days of annual leave a year.")
    serve(
        saying(
            kept,
            ("How many more?", "26 days.", "Staff have 26 days of annual leave a year."),
            ("How many at least?", "25.", "25 days"),
        )
    )
    (folder / "docs" / "expenses.md").unlink()
    out, _ = draft("-n", "3", *HAIKU)

    [question] = drafts(folder)
    assert (question.question, question.reference, question.gold[0][0].text) == kept
    assert out[2:5] == [
        "wrote drafts.yaml: 1 draft, tagged 'draft'; review each",
        "dropped 1: the quote is not in the document",
        "dropped 1: the quote has fewer than 5 words",
    ]


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (
            saying(("A \x1b[31mred\x07 question?", "a", "Staff have 25 days of annual leave a year.")),
            "not a question, ",
        ),
        (saying(("A \u202eq?", "a", "Staff have 25 days of annual leave a year.")), "not a question, an answer and a"),
        (saying(("", "a", "Staff have 25 days of annual leave a year.")), "not a question, an answer and a quote"),
        (saying(("Q?", None, "Staff have 25 days of annual leave a year.")), "not a question, an answer and a quote"),
        (lambda request: '{"questions": "none"}', "not a question, an answer and a quote"),
        (lambda request: '{"questions": [1]}', "not a question, an answer and a quote"),
        (lambda request: "[]", "not a question, an answer and a quote"),
    ],
)
def test_replies_are_not_trusted(draft, folder, serve, reply, told):
    serve(reply)
    (folder / "docs" / "expenses.md").unlink()
    out, _ = draft("-n", "1", *HAIKU, code=1)

    assert out[2] == "no draft can be used; nothing is written"
    assert out[3].startswith(f"dropped 1: {told}")
    assert not (folder / "drafts.yaml").exists()


def test_more_drafts_than_were_asked_for_and_repeated_ones_are_dropped(draft, folder, serve):
    same = ("How many?", "25.", "Staff have 25 days of annual leave a year.")
    more = ("How often?", "x", "Claims for expenses are submitted within 30 days, with receipts.")
    serve(
        lambda request: (
            saying(same, same, more)(request) if "annual leave" in json.dumps(request) else saying(more)(request)
        )
    )
    out, _ = draft("-n", "4", *HAIKU)

    assert [question.question for question in drafts(folder)] == ["How often?", "How many?"]
    assert out[3:5] == ["dropped 1: more than were asked for", "dropped 1: the same question as another one"]


def test_an_existing_file_is_kept_and_nothing_is_paid(draft, folder, serve, capsys):
    api = serve()
    (folder / "drafts.yaml").write_text("mine")
    assert draft(*HAIKU, code=4)[1] == [
        "drafts.yaml: is there already and is not overwritten; name another file with -o"
    ]
    assert draft("-o", "d.json", *HAIKU, code=4)[1] == [
        "d.json: drafts are written as YAML; name a file that ends with .yaml"
    ]
    assert draft("-o", "no/d.yaml", *HAIKU, code=4)[1] == ["no/d.yaml: there is no folder no; make it"]
    assert (folder / "drafts.yaml").read_text() == "mine"
    assert api.stats.requests == 0


def test_the_budget_stops_calls(draft, folder, serve):
    api = serve()
    draft("-n", "2", *HAIKU, documents=("docs/leave.md",))
    out, err = draft("-n", "4", "--max-cost", "0.00001", "-o", "more.yaml", *HAIKU)

    assert len(calls(api)) == 1
    assert len(err) == 1
    assert err[0].startswith("not asked: budget spent: 0.0000 of 0.0000 USD")
    assert err[0].endswith("raise --max-cost")
    assert "wrote more.yaml: 2 drafts, tagged 'draft'; review each" in out
    err = draft("-o", "d.yaml", "--max-cost", "1", "--model", "anthropic:claude-unheard-of", code=4)[1]
    assert "so --max-cost cannot be kept; give its price in the configuration" in err[0]


def test_failed_calls_are_told_and_the_rest_is_kept(draft, folder, serve):
    api = serve()
    draft("-n", "2", *HAIKU, documents=("docs/leave.md",))
    (folder / "ragcheck.toml").write_text("call_deadline = 0.2\n")
    find_configuration.cache_clear()
    api.behaviour = Behaviour(faults={"overloaded": 1.0})
    out, err = draft("-n", "4", "-o", "more.yaml", *HAIKU, code=1)

    assert "wrote more.yaml: 2 drafts, tagged 'draft'; review each" in out
    assert err[0].startswith("failed: claude-haiku-5-5: ")
    assert "Overloaded" in err[0]


def test_a_refused_key_is_one_line(draft, folder, serve):
    serve(api_key="another")
    err = draft(*HAIKU, code=4)[1]

    assert len(err) == 1
    assert "refused the API key" in err[0]
    assert "any-key-at-all" not in err[0]


def test_model_and_documents_may_be_configured(draft, folder, serve):
    api = serve()
    (folder / "ragcheck.toml").write_text('documents = ["docs/leave.md"]\njudge = "anthropic:claude-sonnet-5-5"\n')
    draft("-n", "1", documents=())

    assert [call.model for call in calls(api)] == ["claude-sonnet-5-5"]
    assert drafts(folder)[0].gold[0][0].source == "docs/leave.md"


def test_what_is_missing_is_asked_for(draft, folder):
    (folder / "ragcheck.toml").write_text('judge = "my.models:Judge"\n')
    assert draft(code=4)[1] == ["no model: name one, as in --model anthropic:claude-sonnet-5-5"]
    assert draft(*HAIKU, documents=(), code=4)[1][0].startswith("no documents: name some")


def test_sources_are_those_of_the_configuration(draft, folder, serve, monkeypatch):
    serve()
    (folder / "evals").mkdir()
    (folder / "ragcheck.toml").write_text("top_k = 5\n")
    monkeypatch.chdir(folder / "docs")
    draft("-n", "1", "-o", "../evals/d.yaml", *HAIKU, documents=("leave.md",))

    assert drafts(folder, "evals/d.yaml")[0].gold[0][0].source == "docs/leave.md"


@pytest.mark.parametrize("arguments", [["-n", "0"], ["-n", "many"], ["--max-cost", "-1"], ["--model", "gpt"]])
def test_bad_arguments_are_refused(folder, arguments, capsys):
    with pytest.raises(SystemExit):
        main(["questions", "docs", *arguments])
    assert "expected" in capsys.readouterr().err


# ---- Which passages --------------------------------------------------------------------------


def pages(*words):
    return [
        Document(source=f"{n}.md", text=" ".join(f"Sentence {i} of {n}." for i in range(count // 4)))
        for n, count in enumerate(words)
    ]


def shares(documents, wanted):
    counts = dict.fromkeys((document.source for document in documents), 0)
    for asked in choose_passages(documents, wanted):
        counts[asked.chunk.source] += asked.count
    return list(counts.values())


@pytest.mark.parametrize(
    ("words", "wanted", "expected"),
    [
        ((3000, 3000), 6, [3, 3]),
        ((3000, 100, 3000), 12, [4, 3, 5]),  # a short document bears three
        ((100, 8, 100), 9, [3, 0, 3]),
        ((400,) * 9, 3, [0, 1, 0, 0, 1, 0, 0, 1, 0]),
        ((3000,), 1, [1]),
        ((8,), 5, [0]),
    ],
)
def test_questions_are_spread_over_documents(words, wanted, expected):
    assert shares(pages(*words), wanted) == expected


def test_passages_lie_evenly_in_a_document():
    [document] = pages(12_000)
    chosen = choose_passages([document], 4)

    starts = [asked.chunk.start / len(document.text) for asked in chosen]
    assert starts == pytest.approx([1 / 8, 3 / 8, 5 / 8, 7 / 8], abs=0.04)
    assert [asked.count for asked in chosen] == [1, 1, 1, 1]
