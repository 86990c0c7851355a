"""What ``deepeval test run`` runs."""

import pytest
from anthropic import Anthropic
from common import ROWS, ClaudeJudge, case_of, generate_answer, metrics
from deepeval import assert_test


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_row(row):
    assert_test(case_of(row, generate_answer(Anthropic(), row)), metrics(ClaudeJudge()))
