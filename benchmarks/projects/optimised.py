"""All answers at once, then one judge call after another."""

import asyncio

from common import ROWS, generate_answers, judge_one_by_one

judge_one_by_one(asyncio.run(generate_answers(ROWS)))
