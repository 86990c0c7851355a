"""Words, numbers and names of a text in a form that can be compared, and whether a text is a refusal.

Everything here is fixed rules: no model, no trained weights, the same text gives the same words
everywhere. The lists (function words, number words, irregular forms, refusals) are English. Texts in
other languages work without them: their function words count as content. Scripts without spaces
(Chinese, Japanese, Thai, ...) are compared by pairs of neighbouring characters.
"""

from __future__ import annotations

from pytest_ragcheck.lexical.folding import fold, normalized, without_marks
from pytest_ragcheck.lexical.numbers import style_of
from pytest_ragcheck.lexical.refusal import is_refusal
from pytest_ragcheck.lexical.sized_cache import SizedCache
from pytest_ragcheck.lexical.stating import states
from pytest_ragcheck.lexical.stemming import stem
from pytest_ragcheck.lexical.words import Word, WordKind, content_keys, content_words, word_readings

__all__ = [
    "SizedCache",
    "Word",
    "WordKind",
    "content_keys",
    "content_words",
    "fold",
    "is_refusal",
    "normalized",
    "states",
    "stem",
    "style_of",
    "without_marks",
    "word_readings",
]
