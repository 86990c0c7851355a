"""Under every switch of deepeval a metric reaches nobody but the model that was put in; the sockets are the witness."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

PROGRAM = '''
import asyncio, json, sys
sys.path.insert(0, sys.argv[1])
connected = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        connected.append(repr(arguments[-1 if event == "socket.connect" else 0]))
        raise OSError("no way out")
sys.addaudithook(watch)
from test_given_metrics import Judging, MODEL, Rehearsed, Store, case_of, made
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.judged.kinds import KINDS
from pytest_ragcheck.metrics.judged.library import Library
from pytest_ragcheck.metrics.judged.metric import JudgedMetric
from pytest_ragcheck.metrics.judged.models import stand_in
Library().load()
import deepeval.metrics as all_metrics
from deepeval.metrics import BaseMetric, DAGMetric, FaithfulnessMetric, GEval
from deepeval.metrics.dag import BinaryJudgementNode, DeepAcyclicGraph, VerdictNode
from deepeval.models import DeepEvalBaseSystemOneModel
from deepeval.test_case import SingleTurnParams as P

class Vendor:
    """Stands for the vendor's SDK, which is not installed: whoever calls one of its methods opens a connection."""
    def __init__(self, *_, **__): pass
    def __getattr__(self, name):
        def connect(*_, **__):
            import socket
            socket.create_connection(("127.0.0.1", 9))
        return connect
import types
sdk = sys.modules["typesafe_sdk"] = types.ModuleType("typesafe_sdk")
sdk.__getattr__ = lambda name: Vendor

class Decides(DeepEvalBaseSystemOneModel):
    """A decision model of a vendor's: whoever asks it opens a connection."""
    def load_model(self, *_, **__): return self
    def get_model_name(self, *_, **__): return "decides"
    def generate(self, *_, **__):
        import socket
        socket.create_connection(("127.0.0.1", 9))
    decide = noul = choice = scale = generate
    async def a_decide(self, *_, **__): return self.generate()
    a_noul = a_choice = a_scale = a_decide
    def __getattr__(self, name):
        if name.startswith("__"): raise AttributeError(name)
        return self.generate
Decides.__abstractmethods__ = frozenset()

def by_class(): return FaithfulnessMetric
def by_function(): return lambda model: GEval(name="g", criteria="Is it so?", evaluation_params=[P.ACTUAL_OUTPUT], model=model)
def instance(): return FaithfulnessMetric(model=stand_in())
def nested(model):
    leaves = [VerdictNode(verdict=False, score=0), VerdictNode(verdict=True, child=GEval(
        name="g", criteria="Is it so?", evaluation_params=[P.ACTUAL_OUTPUT], model=model))]
    root = BinaryJudgementNode(criteria="Is it so?", evaluation_params=[P.ACTUAL_OUTPUT], children=leaves)
    return DAGMetric(name="d", dag=DeepAcyclicGraph(root_nodes=[root]), model=model)
def dag_by_function(): return nested
def dag_instance(): return nested(stand_in())
class Mine(BaseMetric):
    threshold = 0.5
    def __init__(self, model=None): self.parts = (FaithfulnessMetric(model=model),)
    def measure(self, case): raise NotImplementedError
    async def a_measure(self, case, **_):
        self.score = await self.parts[0].a_measure(case, _show_indicator=False); self.reason = None
        return self.score
    def is_successful(self): return self.score >= 0.5
    @property
    def __name__(self): return "Mine"
def in_a_tuple(): return Mine
def explicit_mode(): return lambda model: FaithfulnessMetric(model=model, eval_mode="hybrid", system_one_model=Decides("d"))
def explicit_whole(): return FaithfulnessMetric(eval_mode="system_one", system_one_model=Decides("d"))
def given_decider(): return FaithfulnessMetric(model=stand_in(), system_one_model=Decides("d"))

async def measure(give):
    gateway = Rehearsed()
    with Store(None) as store:
        judging = Judging(gateway=gateway, model=MODEL, store=store, every_reason=True)
        try:
            metric = JudgedMetric(KINDS["faithfulness"], judging) if give is None else made(give(), judging)
            return [(await metric.measure(case_of(1))).value, len(gateway.asked)]
        except Exception as problem:
            return f"{type(problem).__name__}: {problem}"

async def main():
    ways = [by_class, by_function, instance, dag_by_function, dag_instance, in_a_tuple, explicit_mode, explicit_whole,
            given_decider]
    found = {"named": await measure(None)} | {way.__name__: await measure(way) for way in ways}
    print(json.dumps({"found": found, "connected": connected}))
asyncio.run(main())
'''
KEYS = {
    "OPENAI_API_KEY": "k", "TYPESAFE_API_KEY": "k", "CONFIDENT_API_KEY": "k", "ANTHROPIC_API_KEY": "k",
    "GOOGLE_API_KEY": "k",
}  # fmt: skip
LOCAL = {"USE_LOCAL_MODEL": "1", "LOCAL_MODEL_NAME": "m", "LOCAL_MODEL_BASE_URL": "http://127.0.0.1:9/v1"}
MEASURED = ["named", "by_class", "by_function", "instance", "dag_by_function", "dag_instance", "in_a_tuple"]


def measure_all(tmp_path, **switches):
    kept = {name: value for name, value in os.environ.items() if "DEEPEVAL" not in name and "API_KEY" not in name}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        env={**kept, **switches}, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refusal_of_instances(switches, way):
    """Why a metric object that was made under these switches cannot be measured."""
    if "DEEPEVAL_EVAL_MODE" in switches and "TYPESAFE_API_KEY" not in switches:
        return "DeepEvalError: DEEPEVAL_EVAL_MODE=hybrid"  # of deepeval itself, when the object is made
    is_without_model = switches.get("DEEPEVAL_EVAL_MODE") == "system_one" and way == "instance"  # others keep theirs
    return "DEEPEVAL_EVAL_MODE=system_one left" if is_without_model else None


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return measure_all(tmp_path_factory.mktemp("plain"))["found"]


@pytest.mark.parametrize(
    "switches",
    [
        {"DEEPEVAL_EVAL_MODE": "hybrid", **KEYS},
        {"DEEPEVAL_EVAL_MODE": "system_one", **KEYS},
        {"DEEPEVAL_EVAL_MODE": "hybrid"},
        {"DEEPEVAL_MODE": "experimental", "USE_OPENAI_MODEL": "1", "CONFIDENT_METRIC_LOGGING_VERBOSE": "1", **KEYS},
        {"DEEPEVAL_EVAL_MODE": "hybrid", **LOCAL, **KEYS},
    ],
    ids=["hybrid", "system_one", "hybrid-without-keys", "openai-and-confident", "hybrid-local"],
)
def test_nobody_but_the_judge_is_reached(tmp_path, plain, switches):
    result = measure_all(tmp_path, **switches)
    assert result["connected"] == []
    for way in MEASURED:
        score, calls = plain[way]
        assert calls > 0
        found = result["found"][way]
        if way.endswith("instance") and (refusal := refusal_of_instances(switches, way)):
            assert isinstance(found, str), (way, found)
            assert refusal in found
        else:
            assert found == [score, calls], (way, found)


def test_a_decision_model_of_the_users_is_refused(plain):
    for way in ("explicit_mode", "explicit_whole"):
        assert plain[way].startswith("ConfigurationError: metric 'mine': eval_mode must be 'llm', got '"), plain[way]
    assert plain["given_decider"] == plain["instance"]  # deepeval itself drops it in the mode "llm"


def test_a_decision_model_given_under_a_mode_of_the_environment_is_refused(tmp_path):
    result = measure_all(tmp_path, DEEPEVAL_EVAL_MODE="hybrid", **KEYS)
    message = "ConfigurationError: metric 'mine': system_one_model of FaithfulnessMetric cannot be used"
    assert result["found"]["given_decider"].startswith(message)
    assert result["connected"] == []
