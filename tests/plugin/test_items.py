from __future__ import annotations

import json
import re

import pytest

IDS = ["days-of-leave", "carry-over", "meals", "remote-days"]


def passed_ids(result):
    return re.findall(r"::test_handbook\[([\w-]+)\] PASSED", result.stdout.str())


def test_every_question_is_an_item_that_passes(project):
    result = project.run("-v")

    result.assert_outcomes(passed=4)
    assert passed_ids(result) == IDS


def test_without_the_option_the_items_are_skipped_with_the_reason(project):
    result = project.run("-rs", ragcheck=False)

    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["*add --ragcheck to run it*"])
    assert not (project.path / ".ragcheck").exists()


def test_without_the_option_node_ids_stay_valid(project):
    result = project.run("test_handbook.py::test_handbook[meals]", ragcheck=False)

    result.assert_outcomes(skipped=1)


def test_without_the_option_bad_input_does_no_harm(project):
    project.write("questions.json", "[{")
    project.run(ragcheck=False).assert_outcomes(skipped=1)

    project.write("ragcheck.toml", "questions = [")
    project.run(ragcheck=False).assert_outcomes(skipped=1)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-k", "meals or carry"], ["carry-over", "meals"]),
        (["-m", "lookup"], ["days-of-leave", "carry-over"]),
        (["test_handbook.py::test_handbook[remote-days]"], ["remote-days"]),
        (["--deselect", "test_handbook.py::test_handbook[meals]"], ["days-of-leave", "carry-over", "remote-days"]),
    ],
)
def test_selection_and_only_what_is_selected_is_embedded(project, arguments, expected):
    project.run("--collect-only").assert_outcomes()
    assert project.embedded() == []

    result = project.run("-v", *arguments)

    assert passed_ids(result) == expected
    chunks, *questions = project.embedded()
    assert chunks == 3
    assert questions == [len(expected)]


def test_last_failed(project):
    project.configure(metrics={"hit_rate": 1.0, "reference_coverage": 1.0})
    questions = json.loads((project.path / "questions.json").read_text())
    questions[2]["reference"] = "Something entirely different."
    project.questions(questions)

    first = project.run(cache=True)
    first.assert_outcomes(passed=3, failed=1)
    again = project.run("--lf", "-v", cache=True)

    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*test_handbook?meals? FAILED*"])


def test_ids_are_stable_under_reordering(project):
    questions = [
        {"question": question["question"]} for question in json.loads((project.path / "questions.json").read_text())
    ]
    project.configure(metrics={"groundedness": 0.5})
    project.questions(questions)
    one = project.run("-v")
    project.questions(questions[::-1])
    other = project.run("-v")

    assert sorted(passed_ids(one)) == sorted(passed_ids(other))
    assert passed_ids(one)[0] == "how-many-days-of-annual-leave-do-staff-have"


def test_a_question_file_needs_no_test_file(project):
    (project.path / "test_handbook.py").unlink()

    result = project.run("-v", "questions.json")

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*questions.json::test_question?meals? PASSED*"])


def test_where_no_test_asks_the_way_without_a_test_file_is_told(project):
    (project.path / "test_handbook.py").unlink()

    result = project.run()

    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines(["*no test asks for ragcheck_result*pytest --ragcheck questions.json"])


def test_a_question_file_is_only_collected_when_it_is_named(project):
    result = project.run()

    result.assert_outcomes(passed=4)


def test_tags_become_marks_even_under_strict_markers(project):
    project.run("--strict-markers", "-m", "expenses").assert_outcomes(passed=1, deselected=3)


def test_the_mark_sets_a_suite_for_a_test(project):
    project.write("other/more.json", json.dumps([{"id": "other-one", "question": "Is remote work possible?"}]))
    project.write(
        "other/test_other.py",
        """\
        import pytest

        @pytest.mark.ragcheck(questions="more.json", documents="../docs/remote.md", metrics={"groundedness": 1.0})
        class TestOther:
            def test_it(self, ragcheck_result):
                assert set(ragcheck_result.scores) == {"groundedness"}
                assert {context.source for context in ragcheck_result.answer.contexts} == {"docs/remote.md"}
                ragcheck_result.assert_passed()
        """,
    )

    project.run().assert_outcomes(passed=5)


def test_a_mark_with_a_wrong_keyword_is_one_line(project):
    project.write(
        "test_handbook.py",
        """\
        import pytest

        @pytest.mark.ragcheck(question="questions.json")
        def test_it(ragcheck_result):
            pass
        """,
    )

    result = project.run()

    result.stdout.fnmatch_lines(["*mark ragcheck takes questions, documents, metrics, not question*"])
    assert "Traceback" not in result.stdout.str()


def test_several_tests_of_one_question_share_its_answer(own_system, asked):
    own_system.write(
        "test_own.py",
        """\
        def test_threshold(ragcheck_result):
            ragcheck_result.assert_passed()

        def test_text(ragcheck_answer):
            assert ragcheck_answer.text.startswith("The answer")

        def test_question_only(ragcheck_question):
            assert ragcheck_question.id.startswith("q")
        """,
    )

    own_system.run().assert_outcomes(passed=12)
    assert len(asked()) == 4


def test_a_test_that_wants_only_the_question_costs_nothing(own_system, asked):
    own_system.write("test_own.py", "def test_it(ragcheck_question):\n    assert ragcheck_question.question\n")

    own_system.run().assert_outcomes(passed=4)
    assert asked() == []


def test_nothing_is_asked_under_setup_only(own_system, asked):
    own_system.run("--setup-only")
    own_system.run("--setup-plan")

    assert asked() == []


def test_a_fixture_asked_for_too_late_is_told_in_one_line(own_system):
    own_system.write("test_own.py", "def test_it(request):\n    request.getfixturevalue('ragcheck_result')\n")

    result = own_system.run()

    result.stdout.fnmatch_lines(["*name it among the test's arguments*"])


def test_modules_with_pipelines_of_their_own(own_system, asked):
    own_system.write(
        "test_second.py",
        """\
        import pytest

        @pytest.fixture(scope="session", name="ragcheck_pipeline")
        def another():
            return lambda question: ("another answer", [])

        def test_second(ragcheck_answer):
            assert ragcheck_answer.text == "another answer"
        """,
    )
    own_system.write(
        "test_own.py", "def test_own(ragcheck_answer):\n    assert 'The answer is' in ragcheck_answer.text\n"
    )

    own_system.run().assert_outcomes(passed=8)
    assert len(asked()) == 4


def test_the_index_fixture_searches(project):
    project.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline(ragcheck_index):
            def ask(question):
                contexts = ragcheck_index.search(question, 2)
                return contexts[0].text, contexts
            return ask
        """,
    )

    result = project.run()

    result.assert_outcomes(passed=4)


def test_a_fixture_that_returns_no_callable_is_one_line(own_system):
    own_system.write(
        "conftest.py", "import pytest\n@pytest.fixture(scope='session')\ndef ragcheck_pipeline():\n    return 3\n"
    )

    result = own_system.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*ragcheck: the system under test must be a callable*got int*"])
    assert "Traceback" not in result.stdout.str()


@pytest.mark.parametrize("arguments", [[], ["-p", "no:asyncio"]], ids=["asyncio", "own event loop"])
def test_no_item_pays_for_the_representation_of_its_contexts(own_system, arguments):
    if arguments:
        own_system.set_up_pytest()
    own_system.write(
        "test_own.py",
        """
from pytest_ragcheck import Context

represented = []

def test_own(ragcheck_answer):
    Context.__repr__ = lambda context: represented.append(context) or "a context"

def test_at_the_end():
    assert represented == []
""",
    )

    own_system.run(*arguments).assert_outcomes(passed=5)
