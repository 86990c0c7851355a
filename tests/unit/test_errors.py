from __future__ import annotations

import copy
import pickle

import pytest

from pytest_ragcheck.errors import ConfigurationError, DatasetError, MeasurementError, NotRunError, RagcheckError
from pytest_ragcheck.safe_text import one_line

HOSTILE = "a\n::error::b\r\x1b[31m\u202e\x00\ud800c"
SAFE = r"a ::error::b \x1b[31m\u202e\x00\ud800c"


@pytest.mark.parametrize(
    "problem",
    [
        RagcheckError(HOSTILE),
        ConfigurationError(HOSTILE),
        MeasurementError(HOSTILE, kind="timeout"),
        NotRunError(HOSTILE),
    ],
)
def test_every_error_is_one_printable_line(problem):
    assert str(problem) == f"{problem}" == str(copy.copy(problem)) == SAFE
    assert HOSTILE not in repr(problem)


def test_an_error_keeps_its_text_in_another_process():
    assert str(pickle.loads(pickle.dumps(ConfigurationError(HOSTILE)))) == SAFE  # noqa: S301 (our own)


def test_a_place_in_a_question_file_is_printable_too():
    assert str(DatasetError(f"{HOSTILE}.yaml", 3, "no id")) == f"{SAFE}.yaml:3: no id"


def test_usual_errors_stay_as_they_are():
    text = "q.yaml:3: unknown key 'größe'; did you mean 'size'?"
    assert str(ConfigurationError(text)) == one_line(text) == text
