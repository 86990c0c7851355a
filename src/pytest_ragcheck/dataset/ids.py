"""The ids of questions: given, or made from the question's text so that they survive reordering."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.fields import QUESTION
from pytest_ragcheck.dataset.values import kind, shown, text
from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_ragcheck.dataset.values import Place

__all__ = ["Identity", "assign_ids", "duplicate_ids", "identity", "slug"]

_ID = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_MAX_ID = 100
_MAX_SLUG = 60
_WORD = re.compile(r"[a-z0-9]+")
_SUFFIX = 6
_HASH_ONLY = 10


@dataclass(frozen=True, slots=True)
class Identity:
    """What a question's id is made from: the one it was given, or its text."""

    line: int
    question: str
    given: str | None


def identity(given: Mapping[str, tuple[str, Any]], place: Place, line: int) -> Identity:
    """The question's text and the id that its row gives.

    Raises:
        DatasetError: there is no question, or the id cannot be used.

    """
    if QUESTION not in given:
        raise place.error("the field 'question' is missing or empty; write the question")
    name, value = given[QUESTION]
    question = text(value, place, name)
    return Identity(line, question, _given_id(given["id"][1], place, question) if "id" in given else None)


def _given_id(value: Any, place: Place, question: str) -> str:
    is_number = type(value) is int or (isinstance(value, float) and math.isfinite(value))
    if not is_number and not isinstance(value, str):
        raise place.error(f"expected a text or a number, got {kind(value)}", "id")
    given = str(value) if is_number else text(value, place, "id")
    if len(given) <= _MAX_ID and _ID.fullmatch(given):
        return given
    proposal = slug(given) or slug(question) or _hash_id(question)
    what = f"longer than {_MAX_ID} characters" if _ID.fullmatch(given) else "not of letters, digits, '_', '.' and '-'"
    raise place.error(f"{shown(given)} is {what}; write for example {proposal!r}", "id")


def slug(content: str) -> str:
    """The words of a text in ASCII lower case, joined by ``-``, at most 60 characters; empty where there are none."""
    folded = unicodedata.normalize("NFKD", content).replace("'", "").encode("ascii", "ignore").decode("ascii").lower()
    made = ""
    for word in _WORD.findall(folded):
        longer = f"{made}-{word}" if made else str(word)
        if len(longer) > _MAX_SLUG:
            return made or longer[:_MAX_SLUG]
        made = longer
    return made


def _digest(question: str) -> str:
    return hashlib.sha256(question.encode("utf-8")).hexdigest()


def _hash_id(question: str) -> str:
    return f"q-{_digest(question)[:_HASH_ONLY]}"


def assign_ids(identities: Sequence[Identity], name: str) -> list[str]:
    """The ids in the order of the questions.

    A made id depends on the set of the file's ids and questions, never on their order: where two questions would
    have the same one, both get a part of their own hash.

    Raises:
        DatasetError: an id, or a question without one, stands twice.

    """
    ids = _ids(identities)
    for problem in _duplicates(identities, ids, name).values():
        raise problem
    return ids


def duplicate_ids(identities: Sequence[Identity], name: str) -> dict[int, DatasetError]:
    """What is wrong with each question whose id an earlier one has, by its place among ``identities``."""
    return _duplicates(identities, _ids(identities), name)


def _ids(identities: Sequence[Identity]) -> list[str]:
    slugs = [one.given or slug(one.question) or _hash_id(one.question) for one in identities]
    claims: defaultdict[str, set[str]] = defaultdict(set)
    given = {one.given for one in identities if one.given is not None}
    for one, made in zip(identities, slugs, strict=True):
        if one.given is None:
            claims[made].add(one.question)
    return [
        made
        if one.given is not None or (len(claims[made]) == 1 and made not in given)
        else _suffixed(made, one.question)
        for one, made in zip(identities, slugs, strict=True)
    ]


def _suffixed(made: str, question: str) -> str:
    return f"{made}-{_digest(question)[:_SUFFIX]}"


def _duplicates(identities: Sequence[Identity], ids: Sequence[str], name: str) -> dict[int, DatasetError]:
    first: dict[str, Identity] = {}
    found = {}
    for place, (one, identifier) in enumerate(zip(identities, ids, strict=True)):
        other = first.setdefault(identifier, one)
        if other is one:
            continue
        if one.given is None and other.given is None and one.question == other.question:
            problem = f"the same question as in line {other.line}; give each an id, or take one out"
        else:
            problem = f"the id {identifier!r} is that of line {other.line} too; give each question its own"
        found[place] = DatasetError(name, one.line, problem)
    return found
