"""The functions of the old script, from the package's top level."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pytest_ragcheck
from pytest_ragcheck.testing.messages_api import MessagesApi

HEAVY = ("anthropic", "pydantic", "numpy", "pytest_ragcheck.gateway", "pytest_ragcheck.model")


@pytest.fixture
def api(monkeypatch):
    pytest.importorskip("anthropic", minversion="2.6")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-unit-0123456789")
    with MessagesApi() as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        yield api


def test_importing_the_package_imports_nothing_else():
    code = f"import sys, pytest_ragcheck; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize("name", pytest_ragcheck.__all__)
def test_every_name_is_there(name):
    assert getattr(pytest_ragcheck, name).__name__ == name
    assert name in dir(pytest_ragcheck)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'generate_answers'"):
        _ = pytest_ragcheck.generate_answers


def test_plain_code(api):
    assert pytest_ragcheck.generate_answer("What is paid?", "Meals are paid. Trips are not.") == "Meals are paid."
    assert api.stats.replies == 1


@pytest.mark.asyncio
async def test_in_a_running_loop(api):
    contexts = ["Meals are paid. Trips are not.", "Leave is 25 days. Lunch is at noon."]
    answers = await pytest_ragcheck.generate_answers_batch_async(["What is paid?", "How long is leave?"], contexts)
    assert answers == ["Meals are paid.", "Leave is 25 days."]
    assert await pytest_ragcheck.generate_answer_async("What is paid?", contexts[0]) == "Meals are paid."
    assert pytest_ragcheck.generate_answer("How long is leave?", contexts[1]) == "Leave is 25 days."
    assert api.stats.replies == 4
