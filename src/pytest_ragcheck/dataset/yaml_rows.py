"""The rows of .yaml files, built from the parser's events.

The events are all that is used of PyYAML: no node is composed and no object constructed. So nothing is evaluated,
scalars keep their text, depth and the expansion of aliases are counted as they happen, and reading ten thousand
questions takes about a second where composing alone takes three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.dataset.shape import QUESTIONS_KEY, check_file_key, no_list_of_questions, not_a_row
from pytest_ragcheck.dataset.values import Bare, Row, shown
from pytest_ragcheck.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import yaml

__all__ = ["yaml_rows"]

_MAX_DEPTH = 100
_MAX_EXPANSION = 16 * 1024 * 1024
"""Characters that aliases may add to a file, a value counting at least ``_VALUE_SIZE``."""
_VALUE_SIZE = 16
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE = "<<"


def yaml_rows(content: str, name: str, *, wanted: frozenset[str] | None = None, loader: Any = None) -> Iterator[Row]:
    """The mappings of a list, or of the list under the key ``questions``.

    With ``wanted`` only these fields of each row are built. ``loader`` is a PyYAML loader class; the one on libyaml
    where PyYAML has it.

    Raises:
        DatasetError: not valid YAML, or YAML with tags, duplicate keys, more than one document, aliases that expand
            too far, or too deep nesting.

    """
    import yaml

    # What is skipped could be what an alias stands for.
    skips = wanted if "&" not in content else None
    builder = _Builder(name, skips)
    try:
        yield from builder.rows((loader or getattr(yaml, "CSafeLoader", yaml.SafeLoader))(content))
    except yaml.YAMLError as error:
        raise _syntax_error(name, error, builder.line) from None
    except (ValueError, OverflowError):
        # PyYAML's own scanner on an escape for a character that does not exist.
        raise DatasetError(name, builder.line, "not valid YAML: an escape or a number is out of range") from None


def _syntax_error(name: str, error: yaml.YAMLError, last_line: int) -> DatasetError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    line = mark.line + 1 if mark is not None else last_line
    what = " ".join(str(problem).split())
    remedy = "check the indentation there, and put texts with ': ', ' #' or a special first character in quotes"
    return DatasetError(name, line, f"not valid YAML: {what}; {remedy}")


class _Builder:
    """Turns events into rows of lists, dictionaries, texts and None."""

    def __init__(self, name: str, wanted: frozenset[str] | None) -> None:
        from yaml import events

        self._events = events
        self._name = name
        self._wanted = wanted
        self._loader: Any = None
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._unfinished: set[str] = set()
        self._size = 0
        self._expanded = 0
        self.line = 1

    def rows(self, loader: Any) -> Iterator[Row]:
        self._loader = loader
        self._next()
        if isinstance(self._next(), self._events.StreamEndEvent):
            raise DatasetError(self._name, 1, "the file holds no questions; write at least one")
        yield from self._document_rows(self._next())
        self._next()
        if not isinstance(self._next(), self._events.StreamEndEvent):
            raise self._error("a second YAML document starts here; keep one document in a file")

    def _document_rows(self, event: Any) -> Iterator[Row]:
        if isinstance(event, self._events.SequenceStartEvent):
            yield from self._list_rows(event)
        elif isinstance(event, self._events.MappingStartEvent):
            yield from self._mapping_rows(event)
        else:
            line = self.line
            raise no_list_of_questions(self._name, line, self._node(event, 0))

    def _list_rows(self, event: Any) -> Iterator[Row]:
        self._refuse_tag(event)
        while not isinstance(event := self._next(), self._events.SequenceEndEvent):
            line = self.line
            value = self._node(event, 1, self._wanted)
            if not isinstance(value, dict):
                raise not_a_row(self._name, line, value)
            yield Row(line, value)

    def _mapping_rows(self, event: Any) -> Iterator[Row]:
        self._refuse_tag(event)
        start = self.line
        seen: set[str] = set()
        while not isinstance(event := self._next(), self._events.MappingEndEvent):
            key = self._key(event, seen)
            check_file_key(self._name, self.line, key)
            value = self._next()
            if key != QUESTIONS_KEY:
                self._node(value, 1)
            elif isinstance(value, self._events.SequenceStartEvent):
                yield from self._list_rows(value)
            else:
                line = self.line
                raise no_list_of_questions(self._name, line, self._node(value, 1))
        if QUESTIONS_KEY not in seen:
            raise no_list_of_questions(self._name, start, {})

    def _next(self) -> Any:
        event = self._loader.get_event()
        self.line = event.start_mark.line + 1
        return event

    def _node(self, event: Any, depth: int, wanted: frozenset[str] | None = None) -> Any:
        if isinstance(event, self._events.AliasEvent):
            return self._aliased(str(event.anchor))
        anchor = event.anchor
        if anchor is None:
            return self._content(event, depth, wanted)
        before = self._size
        self._unfinished.add(anchor)
        value = self._content(event, depth, wanted)
        self._unfinished.discard(anchor)
        self._anchors[anchor] = value, self._size - before
        return value

    def _aliased(self, anchor: str) -> Any:
        if anchor in self._unfinished:
            raise self._error(f"the alias {shown(anchor)} is used inside what it stands for; write the value out")
        if anchor not in self._anchors:
            raise self._error(f"the alias {shown(anchor)} has no anchor of its name above it; correct the name")
        value, size = self._anchors[anchor]
        self._size += size
        self._expanded += size
        if self._expanded > _MAX_EXPANSION:
            raise self._error(f"aliases expand to more than {_MAX_EXPANSION:,} characters; write the values out")
        return value

    def _content(self, event: Any, depth: int, wanted: frozenset[str] | None) -> Any:
        self._refuse_tag(event)
        self._size += _VALUE_SIZE
        if isinstance(event, self._events.ScalarEvent):
            return self._scalar(event)
        if depth >= _MAX_DEPTH:
            raise self._error(f"nested deeper than {_MAX_DEPTH} levels; make it flatter")
        if isinstance(event, self._events.SequenceStartEvent):
            return self._list(depth)
        return self._mapping(depth, wanted)

    def _scalar(self, event: Any) -> str | None:
        value: str = event.value
        self._size += len(value)
        if not event.implicit[0]:
            return value
        return None if value in _NULLS else Bare(value)

    def _list(self, depth: int) -> list[Any]:
        values = []
        while not isinstance(event := self._next(), self._events.SequenceEndEvent):
            values.append(self._node(event, depth + 1))
        return values

    def _mapping(self, depth: int, wanted: frozenset[str] | None) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        seen: set[str] = set()
        merged: list[dict[str, Any]] = []
        while not isinstance(event := self._next(), self._events.MappingEndEvent):
            key = self._key(event, seen)
            if wanted is not None and key not in wanted:
                self._skip(self._next())
                continue
            value = self._node(self._next(), depth + 1)
            if key == _MERGE and event.implicit[0]:
                merged = self._mergeable(value)
            else:
                mapping[key] = value
        for source in merged:
            # Fields of its own win over merged ones, earlier merged ones over later ones.
            mapping = {**source, **mapping}
        return mapping

    def _mergeable(self, value: Any) -> list[dict[str, Any]]:
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise self._error(f"the key {_MERGE!r} merges mappings alone; give it an alias of one")
        return sources

    def _key(self, event: Any, seen: set[str]) -> str:
        if not isinstance(event, self._events.ScalarEvent):
            raise self._error("a key of a mapping must be a plain word")
        self._refuse_tag(event)
        key = str(event.value)
        if event.anchor is not None:
            self._anchors[event.anchor] = key, _VALUE_SIZE + len(key)
        if key in seen:
            raise self._error(f"the key {shown(key)} is given twice; keep one of them")
        seen.add(key)
        return key

    def _skip(self, event: Any) -> None:
        start, end = self._events.CollectionStartEvent, self._events.CollectionEndEvent
        get_event = self._loader.get_event
        depth = 0
        while True:
            if isinstance(event, start):
                depth += 1
            elif isinstance(event, end):
                depth -= 1
            if not depth:
                return
            event = get_event()

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            raise self._error(f"the YAML tag {shown(event.tag)} is not allowed; write a plain value")

    def _error(self, problem: str) -> DatasetError:
        return DatasetError(self._name, self.line, problem)
