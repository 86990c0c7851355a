"""Question files: read, validated with ``file:line`` in every error, and tied to the documents."""

from __future__ import annotations

from pytest_ragcheck.dataset.human import ScoredAnswer, load_scored_answers
from pytest_ragcheck.dataset.questions import load_questions, load_sound_questions, question_ids
from pytest_ragcheck.dataset.resolve import GoldFault, resolve_gold, resolve_sound_gold
from pytest_ragcheck.dataset.rows import QUESTION_SUFFIXES

__all__ = [
    "QUESTION_SUFFIXES",
    "GoldFault",
    "ScoredAnswer",
    "load_questions",
    "load_scored_answers",
    "load_sound_questions",
    "question_ids",
    "resolve_gold",
    "resolve_sound_gold",
]
