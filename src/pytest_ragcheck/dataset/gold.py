"""The forms in which a file says what retrieval must find."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.values import elements, kind, shown, text, truth, whole_number
from pytest_ragcheck.errors import did_you_mean
from pytest_ragcheck.model import GoldGroup, Passage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.dataset.values import Place

__all__ = ["read_contexts", "read_gold"]

_DOCUMENT_SUFFIXES = (".md", ".markdown", ".txt", ".html", ".htm", ".pdf")
_PARTS = {
    "source": "source",
    "doc": "source",
    "document": "source",
    "start": "start",
    "end": "end",
    "quote": "text",
    "text": "text",
    "also": "also",
}
_CONTEXT_DELIMITER = "|"
_HOP = re.compile(r"<\d+-hop>\s*")


def read_gold(value: Any, place: Place, label: str) -> tuple[GoldGroup, ...]:
    """The groups of passages of a field ``gold``.

    An element is a path, a quote, a mapping of ``source``, ``start``, ``end`` and ``quote``, or a list of these of
    which any one is enough. A mapping with ``also: true`` joins the group of the element before it.

    Raises:
        DatasetError: an element has none of these forms.

    """
    groups: list[GoldGroup] = []
    for where, element in elements(value, label):
        if isinstance(element, list):
            groups.append(_alternatives(element, place, where))
            continue
        passage, also = _passage(element, place, where)
        if not also:
            groups.append((passage,))
        elif groups:
            groups[-1] = (*groups[-1], passage)
        else:
            raise place.error("'also' joins the element before, but this is the first; take it out", where)
    return tuple(groups)


def read_contexts(value: Any, place: Place, label: str) -> tuple[GoldGroup, ...]:
    """The quotes of deepeval's ``context`` or ragas' ``reference_contexts``, each a group of its own.

    deepeval joins them by ``|`` in its CSV and JSON Lines files; ragas marks those of its multi-hop questions with
    ``<1-hop>``, which is not part of the text.

    Raises:
        DatasetError: it is not a list of texts.

    """
    if isinstance(value, str):
        value = [part for part in value.split(_CONTEXT_DELIMITER) if part.strip()]
    elif not isinstance(value, list):
        raise place.error(f"expected a list of texts, got {kind(value)}", label)
    return tuple((_context(element, place, where),) for where, element in elements(value, label))


def _context(element: Any, place: Place, where: str) -> Passage:
    quote = text(element, place, where)
    return Passage(text=text(_HOP.sub("", quote, count=1) if _HOP.match(quote) else quote, place, where))


def _alternatives(members: list[Any], place: Place, label: str) -> GoldGroup:
    if not members:
        raise place.error("an empty list of alternatives; take it out", label)
    group = []
    for where, element in elements(members, f"{label}, alternative"):
        if isinstance(element, list):
            raise place.error("alternatives cannot hold a list; make it flatter", where)
        passage, also = _passage(element, place, where)
        if also:
            raise place.error("'also' has no place among alternatives; take it out", where)
        group.append(passage)
    return tuple(group)


def _passage(element: Any, place: Place, label: str) -> tuple[Passage, bool]:
    if isinstance(element, str):
        content = text(element, place, label)
        return (Passage(source=content) if _looks_like_path(content) else Passage(text=content)), False
    if isinstance(element, dict):
        return _mapped_passage(element, place, label)
    raise place.error(f"expected a document's path, a quote or a mapping, got {kind(element)}", label)


def _looks_like_path(content: str) -> bool:
    return content.lower().endswith(_DOCUMENT_SUFFIXES) and "\n" not in content


def _mapped_passage(element: Mapping[str, Any], place: Place, label: str) -> tuple[Passage, bool]:
    parts = _parts(element, place, label)
    source = text(parts["source"], place, f"{label}, source") if "source" in parts else None
    quote = text(parts["text"], place, f"{label}, quote") if "text" in parts else None
    start = whole_number(parts["start"], place, f"{label}, start") if "start" in parts else None
    end = whole_number(parts["end"], place, f"{label}, end") if "end" in parts else None
    also = truth(parts["also"], place, f"{label}, also") if "also" in parts else False
    if source is None and quote is None:
        raise place.error("neither 'source' nor 'quote' is given; give a document's path, a quote, or both", label)
    if (start is None) is not (end is None):
        raise place.error("'start' and 'end' belong together; give both or none", label)
    if start is not None and end is not None:
        if source is None:
            raise place.error("'start' and 'end' need the 'source' that they count in", label)
        if start >= end:
            raise place.error(f"start {start} is not before end {end}", label)
    return Passage(source=source, start=start, end=end, text=quote), also


def _parts(element: Mapping[str, Any], place: Place, label: str) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in element.items():
        part = _PARTS.get(name)
        if part is None:
            raise place.error(f"unknown key {shown(name)}{did_you_mean(name, _PARTS)}", label)
        if value is None:
            continue
        if part in parts:
            raise place.error(f"{names[part]!r} and {name!r} are the same; keep one of them", label)
        parts[part], names[part] = value, name
    return parts
