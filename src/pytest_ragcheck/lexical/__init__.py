"""Words, numbers and names of a text in a form that can be compared, and whether a text is a refusal.

Everything here is fixed rules: no model, no trained weights, the same text gives the same words
everywhere. The lists (function words, number words, irregular forms, refusals) are English. Texts in
other languages work without them: their function words count as content. Scripts without spaces
(Chinese, Japanese, Thai, ...) are compared by pairs of neighbouring characters.
"""

from __future__ import annotations

from pytest_ragcheck.lexical.refusal import is_refusal
from pytest_ragcheck.lexical.stemming import stem
from pytest_ragcheck.lexical.words import Word, WordKind, content_keys, content_words, fold, normalized

__all__ = ["Word", "WordKind", "content_keys", "content_words", "fold", "is_refusal", "normalized", "stem"]
