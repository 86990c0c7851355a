"""Answering in pytest-asyncio's session loop, the one that a user's own session-scoped clients live in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from pytest_ragcheck.session.fixtures import new_answers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from pytest_ragcheck.model import Result
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.workers import SharedAnswers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _ragcheck_live(request: pytest.FixtureRequest) -> AsyncIterator[LiveAnswers | SharedAnswers]:
    answers, live = new_answers(request)
    yield answers
    await live.close()


@pytest_asyncio.fixture(loop_scope="session")
async def _ragcheck_outcome(
    request: pytest.FixtureRequest, ragcheck_answers: LiveAnswers, _ragcheck_entry: Entry
) -> Result:
    return await ragcheck_answers.result(request.node, _ragcheck_entry)


@pytest_asyncio.fixture(loop_scope="session")
async def _ragcheck_batch(request: pytest.FixtureRequest, ragcheck_answers: SharedAnswers) -> None:
    await ragcheck_answers.live.whole_batch(request.node)
