"""deepeval's evaluate()."""

import asyncio

from common import ROWS, ClaudeJudge, case_of, generate_answers, metrics
from deepeval import evaluate

answers = asyncio.run(generate_answers(ROWS))
evaluate([case_of(row, answer) for row, answer in zip(ROWS, answers, strict=True)], metrics(ClaudeJudge()))
