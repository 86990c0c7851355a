"""The same ten questions and four metrics, five ways: ``python benchmarks/side_by_side.py [--runs N] [--scale F]``.

In sequence, as the script does that this project replaces; the same with all answers asked for at once; deepeval's own
``deepeval test run -n 4`` and ``evaluate()``, with a judge as its documentation has users write one, over the anthropic
SDK; and this plugin, as it is and with every reason asked for, as the others do. All speak to the loopback Messages API
in a process of its own, whose models take 0.6 s (answers) and 0.3 s (judging) in the median, a tenth of what real ones
take, times ``--scale``. Times are of whole processes, with the seconds that imports take: the longer the latencies, the
less these weigh. Medians of some runs; ratios are to this plugin as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import judging
from support import measure, print_table

QUESTIONS = 10
WRITER, JUDGE = "claude-sonnet-5-5", "claude-haiku-5-5"
LATENCIES = {WRITER: 0.6, JUDGE: 0.3}
QUIET = {
    "ANTHROPIC_API_KEY": "sk-ant-any-0123456789",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_NO_INSPECT_PROMPT": "1",
    "CI": "1",
}

COMMON = '''
"""What all ways share: the questions, the answers, and a judge as users write one."""
import asyncio, json
from pathlib import Path

from anthropic import Anthropic, AsyncAnthropic, transform_schema
from deepeval import metrics as theirs
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase

ROWS = json.loads(Path(__file__).with_name("rows.json").read_text())
WRITER, JUDGE = {models!r}


def asked(row):
    prompt = "\\n\\n".join([*row["contexts"], row["question"]])
    return dict(model=WRITER, max_tokens=1024, messages=[{{"role": "user", "content": prompt}}])


def generate_answer(client, row):
    return client.messages.create(**asked(row)).content[0].text


async def generate_answers(rows):
    async with AsyncAnthropic() as client:
        messages = await asyncio.gather(*(client.messages.create(**asked(row)) for row in rows))
    return [message.content[0].text for message in messages]


class ClaudeJudge(DeepEvalBaseLLM):
    def __init__(self):
        self.client, self.async_client = Anthropic(), AsyncAnthropic()
        super().__init__(JUDGE)

    def load_model(self):
        return self.client

    def get_model_name(self):
        return JUDGE

    def _asked(self, prompt, schema):
        format = {{"type": "json_schema", "schema": transform_schema(schema)}}
        messages = [{{"role": "user", "content": prompt}}]
        return dict(model=JUDGE, max_tokens=4096, messages=messages, output_config={{"format": format}})

    def generate(self, prompt, schema):
        message = self.client.messages.create(**self._asked(prompt, schema))
        return schema.model_validate_json(message.content[0].text)

    async def a_generate(self, prompt, schema):
        message = await self.async_client.messages.create(**self._asked(prompt, schema))
        return schema.model_validate_json(message.content[0].text)


def metrics(judge, **options):
    kinds = (theirs.FaithfulnessMetric, theirs.AnswerRelevancyMetric, theirs.ContextualPrecisionMetric)
    kinds += (theirs.ContextualRecallMetric,)
    return [kind(model=judge, threshold=0.0, **options) for kind in kinds]


def case_of(row, answer):
    return LLMTestCase(
        input=row["question"],
        actual_output=answer,
        expected_output=row["reference"],
        retrieval_context=row["contexts"],
    )


def judge_one_by_one(answers):
    judge = ClaudeJudge()
    for row, answer in zip(ROWS, answers):
        for metric in metrics(judge, async_mode=False):
            metric.measure(case_of(row, answer), _show_indicator=False)
'''

SEQUENCE = """
from common import *
client = Anthropic()
judge_one_by_one([generate_answer(client, row) for row in ROWS])
"""
OPTIMISED = """
from common import *
judge_one_by_one(asyncio.run(generate_answers(ROWS)))
"""
EVALUATE = """
from common import *
from deepeval import evaluate
answers = asyncio.run(generate_answers(ROWS))
evaluate([case_of(row, answer) for row, answer in zip(ROWS, answers)], metrics(ClaudeJudge()))
"""
TEST_RUN = """
import pytest
from common import *
from deepeval import assert_test


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_row(row):
    assert_test(case_of(row, generate_answer(Anthropic(), row)), metrics(ClaudeJudge()))
"""
OURS = """
import json
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic

ROWS = {{row["question"]: row for row in json.loads(Path(__file__).with_name("rows.json").read_text())}}


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    client = AsyncAnthropic()

    async def answer(question):
        contexts = ROWS[question]["contexts"]
        prompt = "\\n\\n".join([*contexts, question])
        messages = [{{"role": "user", "content": prompt}}]
        message = await client.messages.create(model={writer!r}, max_tokens=1024, messages=messages)
        return message.content[0].text, contexts

    return answer
"""
CONFIGURATION = f"""
questions = "questions.json"
judge = "anthropic:{JUDGE}"
concurrency = 64

[metrics]
faithfulness = 0.0
answer_relevancy = 0.0
contextual_precision = 0.0
contextual_recall = 0.0

[judging]
near = 0.0
"""
OUR_TEST = "def test_row(ragcheck_result):\n    ragcheck_result.assert_passed()\n"
DEEPEVAL = str(Path(sys.executable).with_name("deepeval"))
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:deepeval", "-p", "no:cacheprovider", "-q")

WAYS = {
    "in sequence": (sys.executable, "sequence.py"),
    "answers at once, judging in sequence": (sys.executable, "optimised.py"),
    "deepeval test run -n 4": (DEEPEVAL, "test", "run", "test_deepeval.py", "-n", "4"),
    "deepeval evaluate()": (sys.executable, "evaluation.py"),
    "pytest --ragcheck -v (every reason)": (*PYTEST, "-vv", "--ragcheck", "ours"),
    "pytest --ragcheck": (*PYTEST, "--ragcheck", "ours"),
}  # fmt: skip
BASE = "pytest --ragcheck"


@dataclass(frozen=True)
class Timed:
    """One run of one way."""

    seconds: float
    calls: int


@contextmanager
def server(scale: float):
    latencies = [f"--model-latency={model}={seconds * scale}" for model, seconds in LATENCIES.items()]
    command = [sys.executable, "-u", "-m", "pytest_ragcheck.testing.messages_api", "--port", "0", *latencies]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = None
        while found is None:
            found = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
        yield found.group()
    finally:
        process.terminate()
        process.stdout.read()  # what it saw; it would break at a closed pipe
        process.wait()


def write_project(folder: Path) -> None:
    pairs = [judging.question(number) for number in range(QUESTIONS)]
    rows = [
        {"id": row.id, "question": row.question, "reference": row.reference, "contexts": [one.text for one in contexts]}
        for row, contexts in pairs
    ]
    files = {
        "rows.json": json.dumps(rows),
        "common.py": COMMON.format(models=(WRITER, JUDGE)),
        "sequence.py": SEQUENCE,
        "optimised.py": OPTIMISED,
        "evaluation.py": EVALUATE,
        "test_deepeval.py": TEST_RUN,
        "ours/rows.json": json.dumps(rows),
        "ours/questions.json": json.dumps([{k: row[k] for k in ("id", "question", "reference")} for row in rows]),
        "ours/ragcheck.toml": CONFIGURATION,
        "ours/conftest.py": OURS.format(writer=WRITER),
        "ours/test_ours.py": OUR_TEST,
        "pytest.ini": "[pytest]\nasyncio_default_fixture_loop_scope = function\n",
    }
    (folder / "ours").mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)


def run(command, scale: float) -> Timed:
    """One way in a folder of its own: nothing is kept from an earlier run."""
    with tempfile.TemporaryDirectory() as name, server(scale) as url:
        folder = Path(name)
        write_project(folder)
        done = measure(command, folder, ANTHROPIC_BASE_URL=url, HOME=name, **QUIET)
        if done.status != 0:
            sys.exit(f"{' '.join(map(str, command))} ended with {done.status}:\n{done.output[-3000:]}")
        with urllib.request.urlopen(f"{url}/__stats__?log") as reply:  # noqa: S310 (our own server)
            log = [line for line in json.load(reply)["log"] if line["path"] == "/v1/messages"]
    return Timed(seconds=done.wall, calls=len(log))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="of each way (default: %(default)s)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="F", help="of the latencies (default: %(default)s)")
    parser.add_argument("--only", metavar="TEXT", help="only ways whose name holds this, and the plugin")
    options = parser.parse_args()
    ways = {name: way for name, way in WAYS.items() if not options.only or options.only in name or name == BASE}
    runs: dict[str, list[Timed]] = {name: [] for name in ways}
    for _ in range(options.runs):
        for name, command in ways.items():
            runs[name].append(run(command, options.scale))
    middles = {name: median(one.seconds for one in timed) for name, timed in runs.items()}
    print(f"{QUESTIONS} questions, 4 metrics, latencies x {options.scale:g}, medians of {options.runs} runs")
    print_table(
        ("way", "calls", "seconds", "ratio"),
        [
            (name, runs[name][0].calls, f"{seconds:.1f}", f"{seconds / middles[BASE]:.1f}")
            for name, seconds in middles.items()
        ],
    )


if __name__ == "__main__":
    main()
