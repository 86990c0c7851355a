"""The ways to evaluate the same questions that the benchmarks compare; their programs lie in ``projects``.

All share the questions, four of deepeval's metrics and the judge's model. The plain script is what a good engineer
would write without any framework: one event loop, one client on aiohttp, one semaphore or none, the SDK's own retries
(20 of them, here and in the user's pipeline: with the two that it makes by itself, both lose answers in bad weather).
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import judging
import promptfoo
from call_graph import find_bound, nodes_of
from support import measure, mock_server, server_stats

from pytest_ragcheck.run_file import load_run
from pytest_ragcheck.testing.stats import MESSAGES_PATH

WRITER, JUDGE = "claude-sonnet-5-5", "claude-haiku-5-5"
CALLS = 8
"""Of a question: an answer, and seven of four judged metrics without reasons."""
PROJECTS = Path(__file__).with_name("projects")
QUIET = {
    "ANTHROPIC_API_KEY": "sk-ant-any-0123456789",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_NO_INSPECT_PROMPT": "1",
    "CI": "1",
}

DEEPEVAL = (sys.executable, "-c", "from deepeval.cli.main import app; app()")
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:deepeval", "-p", "no:cacheprovider", "-q", "--ragcheck")


@dataclass(frozen=True)
class Way:
    """One way: the command, and the folder of the project that it runs in."""

    command: tuple[str, ...]
    folder: str = "."
    in_flight: int | None = None
    """Most calls at once, where that is limited."""


def plain(in_flight: int = 0, *, script: str = "plain.py") -> Way:
    """The plain script with a semaphore, or (0) without."""
    return Way((sys.executable, script, str(in_flight)), in_flight=in_flight or None)


def ours(concurrency: int | None = None, *more: str, folder: str = "ours") -> Way:
    """The plugin; its limit is to be found where none is given."""
    limit = () if concurrency is None else ("--ragcheck-concurrency", str(concurrency))
    return Way((*PYTEST, *limit, *more), folder, concurrency)


OTHERS = {
    "in sequence": Way((sys.executable, "sequence.py")),
    "answers at once, judging in sequence": Way((sys.executable, "optimised.py")),
    "deepeval test run -n 4": Way((*DEEPEVAL, "test", "run", "test_deepeval.py", "-n", "4")),
    "deepeval evaluate()": Way((sys.executable, "evaluation.py")),
    "pytest --ragcheck -vv (every reason)": ours(None, "-vv"),
}


@dataclass(frozen=True)
class Timed:
    """One run of one way, as the server and the operating system saw it."""

    wall: float
    first_to_last: float
    """Seconds from the arrival of the first call to the end of the last one."""
    cpu: float
    made: int
    """Calls that arrived at the server."""
    answered: int
    """Calls that were answered with a whole message."""
    status: int
    stopped: bool
    output: str
    seconds: list[dict[str, int]]
    """Counts of each second, as the server gives them."""
    log: list[dict[str, object]]
    bound: float | None
    """Least seconds from first to last call: the longest chain of calls that wait for one another, or the time of all
    calls of one model over the number that may be in flight. None where the way did not record its calls, or failed."""

    @property
    def wasted(self) -> int:
        """Calls that gave no message."""
        return self.made - self.answered

    @property
    def last_answer(self) -> float:
        """Seconds from the arrival of the first call to the end of the last message; 0 where there is none."""
        ends = [line["finish"] for line in self.log if line["outcome"] == "reply"]
        return max(ends) - min(line["arrival"] for line in self.log) if ends else 0.0

    @property
    def ended_well(self) -> bool:
        """True where the way came to its end by itself, with everything evaluated."""
        return self.status == 0 and not self.stopped


def run_way(way: Way, project: Path, *server_options: str, limit: float | None = None, **environment: str) -> Timed:
    """Run one way against a server of its own, with nothing kept from an earlier run but compiled modules."""
    for left in (".ragcheck", ".deepeval", "results.json"):
        for path in project.glob(f"**/{left}"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    environment |= {"HOME": str(project), "PROMPTFOO_CONFIG_DIR": str(project), **QUIET, **promptfoo.QUIET}
    with mock_server(*server_options) as url:
        environment["ANTHROPIC_BASE_URL"] = url
        done = measure(way.command, project / way.folder, limit=limit, **environment)
        seen = server_stats(url, "log", "seconds")
    log = [line for line in seen["log"] if line["path"] == MESSAGES_PATH]
    ends = [line["finish"] or line["arrival"] for line in log]
    return Timed(
        wall=done.wall,
        first_to_last=max(ends, default=0.0) - min((line["arrival"] for line in log), default=0.0),
        cpu=done.cpu,
        made=len(log),
        answered=sum(line["outcome"] == "reply" for line in log),
        status=done.status,
        stopped=done.stopped,
        output=done.output,
        seconds=seen["seconds"],
        log=log,
        bound=bound_of(way, project, log) if done.status == 0 else None,
    )


def bound_of(way: Way, project: Path, log: list[dict[str, object]]) -> float | None:
    """Return the least time that the calls of the plugin's newest run can take."""
    files = sorted((project / way.folder / ".ragcheck" / "runs").glob("*.json"))
    if not files or way.folder not in {"ours", "reference"}:
        return None
    latency = {line["request_id"]: line["latency"] for line in log}
    apart = way.folder == "ours"  # there the limit is for the pipeline's calls and for the judge's, each by themselves
    nodes = [node for one in load_run(files[-1]).results for node in nodes_of(one, latency, apart=apart)]
    places = way.in_flight or len(log)
    return find_bound(nodes, {"gateway": places, "answers": places})


def make_rows(size: int) -> list[dict[str, object]]:
    """Make questions with references and contexts."""
    pairs = [judging.question(number) for number in range(size)]
    return [
        {"id": row.id, "question": row.question, "reference": row.reference, "contexts": [one.text for one in contexts]}
        for row, contexts in pairs
    ]


def write_project(folder: Path, size: int) -> None:
    """Write the files of all ways."""
    rows = make_rows(size)
    questions = [{key: row[key] for key in ("id", "question", "reference")} for row in rows]
    data = {
        "rows.json": rows,
        "promptfooconfig.json": promptfoo.configuration(rows, WRITER, JUDGE),
        "ours/rows.json": rows,
        "ours/questions.json": questions,
        "generation/questions.json": questions,
        "reference/questions.json": questions,
    }
    shutil.copytree(PROJECTS, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, value in data.items():
        (folder / name).write_text(json.dumps(value))
    shutil.copy(folder / "generation" / "words.py", folder / "reference")
    for name in ("generation", "reference"):
        (folder / name / "docs").mkdir(exist_ok=True)
        for row in rows:
            (folder / name / "docs" / f"{row['id']}.md").write_text("\n\n".join(row["contexts"]))
