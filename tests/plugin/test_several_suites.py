"""Several question files in one run: each is compared with, and written to, the baseline next to it."""

from __future__ import annotations

import html
import json
import re
from importlib.util import find_spec

import pytest

from pytest_ragcheck.baseline.file import load_baseline
from pytest_ragcheck.run_file import load_run

GATE = ("--ragcheck-fail-on", "regression")
UPDATE = "--ragcheck-update-baseline"
BASELINE = "ragcheck-baseline.json"
WORKERS = pytest.param(("-n", "2"), marks=pytest.mark.skipif(not find_spec("xdist"), reason="needs pytest-xdist"))
PROCESSES = pytest.mark.parametrize("processes", [(), WORKERS], ids=["serial", "workers"])
COUNT = 8

SYSTEM = """\
from pathlib import Path

import pytest

SAID = Path(__file__).with_name("said.txt")


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return lambda question: (SAID.read_text(), ["a context"])
"""
CONFIGURATION = 'questions = "{questions}"\n[metrics]\nreference_coverage = {least}\n'
TEST = "def test_answers(ragcheck_result):\n    ragcheck_result.assert_passed()\n"


class Services:
    """Folders that each hold a system, its configuration, its questions and a test; all questions have the same ids."""

    def __init__(self, project):
        self.project = project
        self.path = project.path

    def add(self, name, *, questions="questions.json", table=False, least=0.6):
        configuration = CONFIGURATION.format(questions=questions, least=least)
        if table:
            tables = configuration.replace("[metrics]", "[tool.ragcheck.metrics]")
            self.project.write(f"{name}/pyproject.toml", f"[tool.ragcheck]\n{tables}")
        else:
            self.project.write(f"{name}/ragcheck.toml", configuration)
        self.project.write(f"{name}/conftest.py", SYSTEM)
        self.project.write(f"{name}/test_{name}.py", TEST)
        self.say(name, "amber birch cedar")
        if questions == "questions.json":
            self.ask(f"{name}/questions.json")

    def ask(self, place):
        rows = [{"id": f"q{n}", "question": f"What of {n}?", "reference": "amber birch cedar"} for n in range(COUNT)]
        self.project.write(place, json.dumps(rows, indent=1))

    def say(self, name, text):
        self.project.write(f"{name}/said.txt", text)

    def run(self, *arguments, **options):
        return self.project.run(*arguments, **options)

    def means(self, place):
        """The scores that a baseline holds, by question file."""
        datasets = load_baseline(self.path / place).datasets
        return {
            name: {round(entry.mean("reference_coverage"), 2) for entry in dataset.questions}
            for name, dataset in datasets.items()
        }

    def rename_datasets(self, place, names):
        """Write the baseline as an earlier version did."""
        path = self.path / place
        plain = json.loads(path.read_text())
        plain["datasets"] = {names.get(name, name): dataset for name, dataset in plain["datasets"].items()}
        path.write_text(json.dumps(plain))

    def last_run(self):
        folders = [self.path, *self.path.iterdir()]
        runs = [path for folder in folders for path in (folder / ".ragcheck" / "runs").glob("*.json")]
        return load_run(max(runs, key=lambda path: path.stat().st_mtime_ns))


@pytest.fixture
def services(bare_project):
    for name in ("questions.json", "ragcheck.toml", "test_handbook.py", "conftest.py"):
        (bare_project.path / name).unlink(missing_ok=True)
    return Services(bare_project)


@pytest.fixture
def two(services):
    services.add("svc_a")
    services.add("svc_b")
    return services


def verdict(result):
    return next(line.split(": ")[1] for line in result.outlines if line.startswith("gate: "))


@PROCESSES
@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a"), ()], ids=["a b", "b a", "all"])
@pytest.mark.parametrize("broken", ["svc_a", "svc_b"])
def test_the_service_that_broke_fails_the_run_in_any_order(two, order, broken, processes):
    two.run(UPDATE, *order).assert_outcomes(passed=2 * COUNT)
    assert two.run(*GATE, *order, *processes).ret == 0
    two.say(broken, "nothing")
    result = two.run(*GATE, *order, *processes)

    assert (result.ret, verdict(result)) == (1, "regressed")
    told = {change.dataset for change in _broken(two)}
    assert told == {f"{broken}/questions.json"}
    assert f"({broken}/questions.json): reference_coverage 1.00 -> 0.00" in result.stdout.str()
    assert f"compared with svc_a/{BASELINE}, svc_b/{BASELINE} of" in " ".join(result.stdout.str().split())


def _broken(services):
    """What the run's scores and the baselines say by themselves, without the gate."""
    return [result.question for result in services.last_run().results if result.failed_scores]


@PROCESSES
@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
def test_an_update_writes_each_file_its_own_questions(two, order, processes):
    two.say("svc_b", "amber birch")
    result = two.run(UPDATE, *order, *processes)

    assert two.means(f"svc_a/{BASELINE}") == {"questions.json": {1.0}}
    assert two.means(f"svc_b/{BASELINE}") == {"questions.json": {0.67}}
    told = [f"ragcheck: wrote the baseline {name}/{BASELINE}: {COUNT} questions, {COUNT} of now" for name in order]
    assert sorted(line for line in result.outlines if line.startswith("ragcheck: wrote")) == sorted(told)


def test_results_fingerprints_and_selections_are_kept_by_the_path_from_the_root(two):
    two.run("svc_b", "svc_a")
    run = two.last_run()
    names = {"svc_a/questions.json", "svc_b/questions.json"}

    assert {result.question.dataset for result in run.results} == names
    assert {result.variant for result in run.results} == {""}
    assert run.fingerprints.keys() == run.datasets.keys() == run.selected.keys() == run.scoring.keys() == names


@pytest.mark.parametrize(("folder", "arguments"), [("svc_a", ()), ("svc_b", ("../svc_a",)), (".", ("svc_a",))])
def test_a_baseline_is_found_from_any_folder(two, folder, arguments):
    two.run(UPDATE, "svc_b", "svc_a")
    assert two.run(*GATE, *arguments, folder=folder).ret == 0
    two.say("svc_a", "nothing")
    result = two.run(*GATE, *arguments, folder=folder)

    assert (result.ret, verdict(result)) == (1, "regressed")


@pytest.fixture
def rootless(services):
    """Without a file of pytest's own above, the pyproject.toml of the first folder makes that folder the root."""
    (services.path / "pytest.ini").unlink()
    services.add("svc_a", table=True)
    services.add("svc_b", table=True)
    return services


def name_systems(services, *names):
    """Each service's configuration names its system by an import path, in place of the fixture."""
    for service, name in zip(("svc_a", "svc_b"), names, strict=True):
        folder = services.path / service
        (folder / "conftest.py").unlink()
        said = "from pathlib import Path\n\n\ndef answer(question):\n    return SAID.read_text(), ['a context']\n"
        services.project.write(f"{service}/{name}.py", f"{said}\n\nSAID = Path(__file__).with_name('said.txt')\n")
        (path,) = folder.glob("*.toml")
        path.write_text(path.read_text().replace("questions =", f'generator = "{name}:answer"\nquestions ='))


@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
@pytest.mark.parametrize("updated", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
@pytest.mark.parametrize("baseline", [(), ("--ragcheck-baseline", "all.json")], ids=["next to it", "one for all"])
def test_tables_of_pyproject_move_the_root_with_the_order_and_not_the_baseline(rootless, order, updated, baseline):
    name_systems(rootless, "system_a", "system_b")
    rootless.run(UPDATE, *baseline, *updated).assert_outcomes(passed=2 * COUNT)
    assert rootless.run(*GATE, *baseline, *order).ret == 0
    rootless.say("svc_a", "nothing")
    result = rootless.run(*GATE, *baseline, *order)

    assert (result.ret, verdict(result)) == (1, "regressed")
    assert rootless.run(*GATE, *baseline, "svc_b").ret == 0
    assert rootless.run(*GATE, *baseline, "svc_a").ret == 1


@PROCESSES
@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
def test_a_module_of_another_folder_is_never_asked(two, order, processes):
    """Python imports one of two modules of one name."""
    name_systems(two, "system", "system")
    assert two.run(UPDATE, "svc_a").ret == two.run(UPDATE, "svc_b").ret == 0
    two.say("svc_a", "nothing")
    result = two.run(*GATE, *order, *processes)

    assert result.ret == 4
    assert "give one of the two another name, or run them separately" in result.stdout.str()


@PROCESSES
@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
def test_a_system_of_another_folder_is_never_asked(rootless, order, processes):
    """pytest lets the ``conftest.py`` of one service override that of the other, as one is not below its root."""
    rootless.run(UPDATE, "--rootdir=.", *order).assert_outcomes(passed=2 * COUNT)
    rootless.say("svc_a", "nothing")
    result = rootless.run(*GATE, *order, *processes)

    assert result.ret == 1
    result.stdout.fnmatch_lines([f"*would serve *--rootdir={rootless.path}*"])
    assert rootless.run(*GATE, f"--rootdir={rootless.path}", *order, *processes).ret == 1


@PROCESSES
@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
def test_two_configurations_that_share_a_question_file_have_a_part_of_its_baseline_each(services, order, processes):
    services.ask("shared/questions.json")
    services.add("svc_a", questions="../shared/questions.json")
    services.add("svc_b", questions="../shared/questions.json")
    services.say("svc_b", "amber birch")
    services.run(UPDATE, *order, *processes)
    assert services.means(f"shared/{BASELINE}") == {
        "questions.json (../svc_a/ragcheck.toml)": {1.0},
        "questions.json (../svc_b/ragcheck.toml)": {0.67},
    }
    assert services.run(*GATE, *order, *processes).ret == 0
    assert services.run(*GATE, "svc_b").ret == 0
    services.say("svc_a", "amber birch")

    assert services.run(*GATE, *reversed(order), *processes).ret == 1
    assert {question.dataset for question in _broken(services)} == set()
    assert {result.question.dataset for result in services.last_run().results} == {
        "shared/questions.json (svc_a/ragcheck.toml)",
        "shared/questions.json (svc_b/ragcheck.toml)",
    }


def test_links_to_one_question_file_have_a_baseline_each_and_a_linked_folder_has_its_own(services):
    services.ask("shared/questions.json")
    for name in ("svc_a", "svc_b"):
        services.add(name, questions="linked.json")
        (services.path / name / "linked.json").symlink_to(services.path / "shared" / "questions.json")
    (services.path / "other").symlink_to(services.path / "svc_a")
    services.run(UPDATE, "svc_b", "svc_a").assert_outcomes(passed=2 * COUNT)
    services.say("svc_a", "nothing")

    assert services.run(*GATE, "svc_b").ret == 0
    for arguments in (["svc_a"], ["other"], ["svc_b", "svc_a"], ["svc_a", "svc_b"], ["svc_b", "other"]):
        result = services.run(*GATE, *arguments)
        assert (result.ret, verdict(result)) == (1, "regressed"), arguments


def test_one_baseline_for_all_has_the_questions_of_each(two):
    named = ("--ragcheck-baseline", "all.json")
    two.run(UPDATE, *named, "svc_b", "svc_a")
    assert two.means("all.json") == {"svc_a/questions.json": {1.0}, "svc_b/questions.json": {1.0}}
    two.run(UPDATE, *named, "svc_a")
    assert two.means("all.json").keys() == {"svc_a/questions.json", "svc_b/questions.json"}
    two.say("svc_a", "nothing")

    assert two.run(*GATE, *named, "svc_b", "svc_a").ret == 1
    assert two.run(*GATE, *named, "svc_b").ret == 0


# ---- Baselines of earlier versions -----------------------------------------------------------


def test_a_baseline_that_names_files_from_the_configuration_is_compared_and_renamed_by_an_update(services):
    services.add("svc")
    (services.path / "svc" / "ragcheck.toml").rename(services.path / "ragcheck.toml")
    services.project.write("ragcheck.toml", CONFIGURATION.format(questions="svc/questions.json", least=0.6))
    services.run(UPDATE)
    services.rename_datasets(f"svc/{BASELINE}", {"questions.json": "svc/questions.json"})
    assert services.run(*GATE).ret == 0
    services.say("svc", "nothing")
    result = services.run(*GATE)
    assert (result.ret, verdict(result)) == (1, "regressed")
    services.run(UPDATE)

    assert services.means(f"svc/{BASELINE}") == {"questions.json": {0.0}}


def test_an_old_baseline_of_two_configurations_is_not_guessed_at(services):
    services.ask("shared/questions.json")
    services.add("svc_a", questions="../shared/questions.json")
    services.add("svc_b", questions="../shared/questions.json")
    services.run(UPDATE, "svc_a")
    old = {"questions.json (../svc_a/ragcheck.toml)": "../shared/questions.json"}
    services.rename_datasets(f"shared/{BASELINE}", old)
    assert services.run(*GATE, "svc_a").ret == 0

    result = services.run(*GATE, "svc_a", "svc_b")
    assert result.ret == 1
    either = " or ".join(f"shared/questions.json ({name}/ragcheck.toml)" for name in ("svc_a", "svc_b"))
    told = f"ragcheck: shared/{BASELINE}: '../shared/questions.json' could be {either}; write the baseline again with"
    assert told in result.stdout.str()
    services.run(UPDATE, "svc_a", "svc_b")
    assert services.means(f"shared/{BASELINE}").keys() == {
        "questions.json (../svc_a/ragcheck.toml)",
        "questions.json (../svc_b/ragcheck.toml)",
    }


def test_the_dataset_of_another_file_is_nobody_elses(services):
    """A file in the root and one in a folder: each was called ``questions.json``."""
    services.add("svc")
    services.ask("questions.json")
    services.project.write("ragcheck.toml", CONFIGURATION.format(questions="questions.json", least=0.6))
    services.project.write("conftest.py", SYSTEM)
    services.project.write("said.txt", "amber birch cedar")
    services.project.write("test_root.py", TEST)
    named = ("--ragcheck-baseline", "all.json")
    services.run(UPDATE, *named, "test_root.py")
    result = services.run(*GATE, *named, "svc")

    assert result.ret == 1
    result.stdout.fnmatch_lines(["gate: not comparable: no question of the run is in the baseline"])


def test_a_baseline_taken_elsewhere_is_found_by_the_ends_of_its_paths(two, tmp_path):
    named = ("--ragcheck-baseline", "ci/all.json")
    (two.path / "ci").mkdir()
    two.run(UPDATE, *named, "svc_b", "svc_a")
    assert two.means("ci/all.json").keys() == {"../svc_a/questions.json", "../svc_b/questions.json"}
    elsewhere = tmp_path / "main.json"
    (two.path / "ci" / "all.json").rename(elsewhere)
    two.say("svc_a", "nothing")

    assert two.run(*GATE, "--ragcheck-baseline", elsewhere, "svc_b").ret == 0
    assert two.run(*GATE, "--ragcheck-baseline", elsewhere, "svc_b", "svc_a").ret == 1


# ---- The rest of a run that is kept by that name ---------------------------------------------


@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
def test_of_several_gate_tables_the_strictest_decides(two, order):
    """In any order: a drop that one of them allows is none for the other."""
    path = two.path / "svc_a" / "ragcheck.toml"
    path.write_text(path.read_text() + "[gate]\nminimum = 0.5\n")
    two.run(UPDATE, *order)
    two.say("svc_b", "amber birch")  # 0.67 of 1.0, and no question below its threshold

    result = two.run(*GATE, *order)
    assert (result.ret, verdict(result)) == (1, "regressed")


def test_a_kept_answer_is_found_from_any_root(services):
    """The name of a question file changes with the root, what its answers are kept by does not."""
    (services.path / "pytest.ini").unlink()
    services.add("svc")
    (services.path / "svc" / "conftest.py").unlink()
    services.project.write(
        "svc/logging_system.py",
        """
        from pathlib import Path

        def answer(question):
            with Path(__file__).with_name("asked.log").open("a") as log:
                log.write(question + "\\n")
            return "amber birch cedar", ["a context"]
        """,
    )
    path = services.path / "svc" / "ragcheck.toml"
    path.write_text('generator = "logging_system:answer"\nfingerprint = "version 1"\n' + path.read_text())
    services.run("svc").assert_outcomes(passed=COUNT)
    first = {result.question.dataset for result in services.last_run().results}
    services.run(folder="svc").assert_outcomes(passed=COUNT)
    second = {result.question.dataset for result in services.last_run().results}

    assert (first, second) == ({"svc/questions.json"}, {"questions.json"})
    assert len((services.path / "svc" / "asked.log").read_text().splitlines()) == COUNT


@pytest.mark.parametrize("order", [("svc_a", "svc_b"), ("svc_b", "svc_a")], ids=["a b", "b a"])
def test_the_report_of_a_failure_tells_what_its_own_file_had(two, order):
    two.say("svc_b", "amber birch")
    two.run(UPDATE, *order)
    two.say("svc_a", "nothing")
    two.say("svc_b", "nothing")
    assert (
        sorted(re.findall(r"baseline (\d\.\d+)", two.run(*order).stdout.str())) == ["0.67"] * COUNT + ["1.00"] * COUNT
    )
    for name, before in {"svc_a": "1.00", "svc_b": "0.67"}.items():
        result = two.run(f"{name}/test_{name}.py::test_answers[q1]")
        result.stdout.fnmatch_lines([f"*FAIL   reference_coverage  0.00 < 0.60  baseline {before}"])


def test_the_gate_command_finds_the_dataset_of_a_run_in_any_of_the_files(two):
    import subprocess
    import sys

    two.run(UPDATE, "svc_b", "svc_a")
    two.say("svc_a", "nothing")
    two.run("svc_a", "svc_b", "--ragcheck-report", "run.json")

    def gate(baseline):
        command = [sys.executable, "-m", "pytest_ragcheck", "gate", "run.json", baseline, "--format", "json"]
        done = subprocess.run(
            command,
            cwd=two.path,
            env=two.project.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        told = json.loads(done.stdout)
        return done.returncode, told["verdict"], {change["dataset"] for change in told["questions"]}

    assert gate(f"svc_a/{BASELINE}") == (1, "regressed", {"svc_a/questions.json"})
    assert gate(f"svc_b/{BASELINE}") == (0, "same", {"svc_b/questions.json"})


def test_a_pipeline_of_a_test_module_is_compared_from_any_root(services):
    """Its variant is named by the module's path from the root, which is another one in each of these runs."""
    (services.path / "pytest.ini").unlink()
    services.add("svc")
    (services.path / "svc" / "conftest.py").unlink()
    services.project.write("svc/test_svc.py", f"{SYSTEM}\n\n{TEST}")
    services.run(UPDATE, "svc").assert_outcomes(passed=COUNT)
    assert {result.variant for result in services.last_run().results} == {"svc/test_svc.py"}

    assert verdict(services.run(*GATE, folder="svc")) == "same"
    services.say("svc", "nothing")
    assert verdict(services.run(*GATE, folder="svc")) == "regressed"
    services.run(UPDATE, folder="svc")
    assert services.means(f"svc/{BASELINE}") == {"questions.json": {0.0}}


@PROCESSES
def test_each_question_file_has_means_of_its_own_in_every_report(two, processes):
    two.run(UPDATE)
    two.say("svc_b", "amber birch")
    reports = [argument for suffix in ("json", "md", "html") for argument in ("--ragcheck-report", f"rag.{suffix}")]

    result = two.run(*GATE, *reports, *processes)

    table = result.outlines[result.outlines.index(next(line for line in result.outlines if "least in" in line)) :]
    assert [line.split()[:3] for line in table[1:5]] == [
        ["svc_a/questions.json,", "8", "questions:"],
        ["reference_coverage", "1.00", "0.00"],
        ["svc_b/questions.json,", "8", "questions:"],
        ["reference_coverage", "0.67", "-0.33"],
    ]
    assert table[5] == "16 questions: 16 passed"
    plain = json.loads((two.path / "rag.json").read_text())["metrics"]
    assert {name: round(metrics["reference_coverage"]["mean"], 2) for name, metrics in plain.items()} == {
        "svc_a/questions.json": 1.0,
        "svc_b/questions.json": 0.67,
    }
    rows = [
        re.findall(r"<code>(.*?)</code>|\| (\d\.\d\d) ", html.unescape(line))[:3]
        for line in (two.path / "rag.md").read_text().splitlines()
        if line.startswith("| <code>svc")
    ]
    assert [[code or number for code, number in row] for row in rows] == [
        ["svc_a/questions.json", "reference_coverage", "1.00"],
        ["svc_b/questions.json", "reference_coverage", "0.67"],
    ]
    page = (two.path / "rag.html").read_text()
    assert re.findall(r'<h3 class="file"><bdi>(.*?)</bdi>|<p class="mean"><strong>(.*?)</strong>', page) == [
        ("svc_a/questions.json", ""),
        ("", "1.00"),
        ("svc_b/questions.json", ""),
        ("", "0.67"),
    ]
    assert '"#/questions?dataset=svc_b%2Fquestions.json&amp;metric=reference_coverage"' in page
