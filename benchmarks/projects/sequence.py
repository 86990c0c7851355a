"""One call after another."""

from anthropic import Anthropic
from common import ROWS, generate_answer, judge_one_by_one

client = Anthropic()
judge_one_by_one([generate_answer(client, row) for row in ROWS])
