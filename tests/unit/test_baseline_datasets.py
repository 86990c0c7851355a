"""Which part of a baseline a question file finds: by its name, by that of an earlier version, by the end of its path."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from pytest_ragcheck.baseline.datasets import (
    QuestionFile,
    _renamed_variants,
    baseline_of,
    named_in_run,
    with_datasets,
)
from pytest_ragcheck.baseline.entries import Dataset, Entry, Setup
from pytest_ragcheck.baseline.file import Baseline
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import Run


def baseline(*names):
    """Each dataset has its own name as the only question's."""
    datasets = {name: Dataset(setup=Setup(), questions=(Entry(id=name, question="1"),)) for name in names}
    return Baseline(created="2026-01-01T00:00:00+00:00", datasets=datasets)


def found(files, path, *names):
    """The dataset that each of ``files`` finds."""
    part = baseline_of(baseline(*names), files, path)
    return {name: dataset.questions[0].id for name, dataset in part.datasets.items()}


def file(questions, configuration=None, former_name=""):
    return QuestionFile(questions=questions, configuration=configuration, former_name=former_name)


@pytest.fixture
def root(tmp_path):
    for name in ("svc_a", "svc_b", "shared", "ci"):
        (tmp_path / name).mkdir()
    for name in ("questions.yaml", "svc_a/questions.yaml", "svc_b/questions.yaml", "shared/questions.yaml"):
        (tmp_path / name).write_text("[]")
    return tmp_path


@pytest.fixture
def two(root):
    return {name: file(root / name / "questions.yaml", former_name="questions.yaml") for name in ("svc_a", "svc_b")}


def test_a_name_is_the_path_from_the_baseline_and_the_configuration_that_is_not_the_nearest(root):
    plain = file(root / "svc_a" / "questions.yaml")
    shared = file(root / "shared" / "questions.yaml", root / "svc_a" / "ragcheck.toml")

    assert [plain.name_from(root / folder) for folder in (".", "svc_a", "ci")] == [
        "svc_a/questions.yaml",
        "questions.yaml",
        "../svc_a/questions.yaml",
    ]
    assert shared.name_from(root) == "shared/questions.yaml (svc_a/ragcheck.toml)"
    assert shared.configured_in == root / "svc_a"
    assert QuestionFile.from_plain(shared.plain()) == shared


def test_exact_names_go_before_all_others(root, two):
    names = ("questions.yaml", "svc_a/questions.yaml", "svc_b/questions.yaml")

    assert found(two, root / "all.json", *names) == {"svc_a": names[1], "svc_b": names[2]}


def test_the_name_of_another_file_is_nobodys(root, two):
    """``questions.yaml`` is the file next to the baseline."""
    assert found(two, root / "all.json", "questions.yaml") == {}


def test_a_name_of_an_earlier_version_is_found_where_it_can_be_no_others(root, two):
    (root / "questions.yaml").unlink()

    assert found({"svc_a": two["svc_a"]}, root / "all.json", "questions.yaml") == {"svc_a": "questions.yaml"}
    with pytest.raises(ConfigurationError, match=r"'questions\.yaml' could be svc_a or svc_b; write the baseline"):
        found(two, root / "all.json", "questions.yaml")
    part = baseline_of(baseline("questions.yaml"), two, root / "all.json", is_replaced=True)
    assert part.datasets == {}


def test_next_to_the_question_file_an_earlier_version_named_it_from_the_configuration(root):
    path = root / "svc_a" / "ragcheck-baseline.json"
    here = {"here": file(root / "svc_a" / "questions.yaml", former_name="svc_a/questions.yaml")}

    assert found(here, path, "svc_a/questions.yaml") == {"here": "svc_a/questions.yaml"}
    assert found(here, path, "svc_a/questions.yaml", "questions.yaml") == {"here": "questions.yaml"}


def test_the_part_of_the_nearest_configuration_is_not_that_of_another_one(root):
    path = root / "shared" / "ragcheck-baseline.json"
    other = file(root / "shared" / "questions.yaml", root / "svc_a" / "ragcheck.toml", "../shared/questions.yaml")
    nearest = file(root / "shared" / "questions.yaml", former_name="questions.yaml")

    assert found({"other": other}, path, "questions.yaml") == {}
    assert found({"nearest": nearest}, path, "../shared/questions.yaml") == {}
    assert found({"other": other}, path, "../shared/questions.yaml") == {"other": "../shared/questions.yaml"}
    assert found({"other": other}, path, "questions.yaml (../svc_b/ragcheck.toml)") == {}


def test_a_baseline_that_was_taken_elsewhere_is_found_by_the_longest_end(root, two, tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "main.json"

    names = ("../svc_a/questions.yaml", "../svc_b/questions.yaml", "../svc_c/questions.yaml", "other.yaml")
    assert found(two, path, *names) == {"svc_a": names[0], "svc_b": names[1]}


def test_an_update_replaces_what_was_the_files_and_keeps_the_others(root, two):
    (root / "questions.yaml").unlink()
    old = baseline("questions.yaml", "shared/questions.yaml", "svc_b/questions.yaml")
    new = baseline("svc_a")
    written = with_datasets(old, new, two, root / "all.json")

    assert {name: dataset.questions[0].id for name, dataset in written.datasets.items()} == {
        "svc_a/questions.yaml": "svc_a",
        "shared/questions.yaml": "shared/questions.yaml",
        "svc_b/questions.yaml": "svc_b/questions.yaml",
    }


def test_what_is_written_is_found_by_each_file_from_each_folder(root):
    """Two question files and three configurations, in any of four baselines."""
    files = {
        f"{place} {service}": file(root / place / "questions.yaml", configuration)
        for place, service in product(("shared", "svc_a"), ("", "svc_a", "svc_b"))
        for configuration in [root / service / "ragcheck.toml" if service else None]
    }
    for folder in (".", "shared", "svc_a", "ci"):
        path = root / folder / "all.json"
        written = with_datasets(None, baseline(*files), files, path)
        assert len(written.datasets) == len(files)
        part = baseline_of(written, files, path)
        assert {name: dataset.questions[0].id for name, dataset in part.datasets.items()} == {
            name: name for name in files
        }
        for name, one in files.items():
            alone = baseline_of(written, {name: one}, path)
            assert alone.datasets[name].questions[0].id == name


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"svc/test_a.py"}, {"test_a.py"}, {"svc/test_a.py": "test_a.py"}),
        ({"test_a.py"}, {"../svc/test_a.py"}, {"test_a.py": "../svc/test_a.py"}),
        (
            {"fast, svc/test_a.py::TestB"},
            {"fast, test_a.py::TestB"},
            {"fast, svc/test_a.py::TestB": "fast, test_a.py::TestB"},
        ),
        ({"svc/test_a.py", "other/test_a.py"}, {"test_a.py"}, {}),
        ({"test_a.py"}, {"svc/test_a.py", "other/test_a.py"}, {}),
        ({"svc/test_a.py::TestB"}, {"test_a.py"}, {}),
        ({"slow, svc/test_a.py"}, {"fast, test_a.py"}, {}),
        ({"fast"}, {"svc/fast"}, {}),
        ({""}, {"test_a.py"}, {}),
        ({"svc/test_a.py", "test_a.py"}, {"test_a.py"}, {}),
    ],
)
def test_a_variant_is_the_same_from_another_root_where_no_other_could_be_meant(before, now, expected):
    assert _renamed_variants(before, now) == expected


# ---- Of a run's file only the names are known ------------------------------------------------


def run_of(*names):
    return Run(
        started_at="2026-01-02T00:00:00+00:00",
        mode="concurrent",
        fingerprints={},
        setup=0.0,
        wall=0.0,
        versions={},
        results=(),
        datasets={name: {"q": "1"} for name in names},
    )


@pytest.mark.parametrize(
    ("path", "keys", "names", "expected"),
    [
        ("svc_a/b.json", ["questions.yaml"], ["svc_a/questions.yaml"], {"svc_a/questions.yaml": "questions.yaml"}),
        ("svc_a/b.json", ["questions.yaml"], ["svc_b/questions.yaml"], {}),
        (
            "svc_a/b.json",
            ["questions.yaml"],
            ["svc_a/questions.yaml", "svc_b/questions.yaml"],
            {"svc_a/questions.yaml": "questions.yaml"},
        ),
        ("b.json", ["questions.yaml"], ["questions.yaml"], {"questions.yaml": "questions.yaml"}),
        ("ci/b.json", ["questions.yaml"], ["evals/questions.yaml"], {"evals/questions.yaml": "questions.yaml"}),
        ("ci/b.json", ["../svc_a/questions.yaml"], ["svc_b/questions.yaml"], {}),
        (
            "shared/b.json",
            ["questions.yaml", "questions.yaml (../svc_a/ragcheck.toml)"],
            ["shared/questions.yaml (svc_a/ragcheck.toml)"],
            {"shared/questions.yaml (svc_a/ragcheck.toml)": "questions.yaml (../svc_a/ragcheck.toml)"},
        ),
        ("shared/b.json", ["questions.yaml"], ["shared/questions.yaml (svc_a/ragcheck.toml)"], {}),
    ],
)
def test_the_names_of_a_run_find_their_datasets(root, path, keys, names, expected):
    part = named_in_run(baseline(*keys), run_of(*names), root / path)

    assert {name: dataset.questions[0].id for name, dataset in part.datasets.items()} == expected


def test_two_names_that_fit_one_dataset_are_not_guessed_at(root, monkeypatch):
    monkeypatch.chdir(root / "ci")

    with pytest.raises(ConfigurationError, match="could be"):
        named_in_run(baseline("questions.yaml"), run_of("a/questions.yaml", "b/questions.yaml"), Path("b.json"))
