"""What a run tells of what it was made with."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_ragcheck.rag.claude import ClaudeGenerator
from pytest_ragcheck.session.fingerprints import _asked_with


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"template": "$contexts\n$question?"}, {"prompt"}),
        ({"system": None}, {"prompt"}),
        ({"max_tokens": 7}, {"generation"}),
        ({"parameters": {"temperature": 0}}, {"generation"}),
        ({"model": "another"}, set()),
    ],
)
def test_a_prompt_is_told_from_how_it_is_asked(change, told):
    """The model stands beside both, by its name."""
    plain = ClaudeGenerator(gateway=None)
    before, now = _asked_with(plain), _asked_with(dataclasses.replace(plain, **change))

    assert {name for name in before if before[name] != now[name]} == told
