"""What a configured value may be: each kind checks a value, and has the words for the reference.

No pydantic model, because importing pydantic and making one took a tenth of a run in which nothing had changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BOOLEAN", "TABLE", "TEXT", "Kind", "WrongValueError", "any_of", "integer", "list_of", "number", "one_of",
    "table_of", "text",
]  # fmt: skip


class WrongValueError(Exception):
    """``value``, found at ``place`` within what was checked, is not of its kind."""

    def __init__(self, problem: str, value: Any, *place: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.value = value
        self.place = place


class Kind(NamedTuple):
    """``check`` returns the value as it is used; WrongValueError for one of another kind."""

    words: str
    """For the reference: ``whole number from 1``."""
    plural: str
    noun: str
    """For errors: ``an integer``."""
    check: Callable[[Any], Any]


def text(*, least_length: int = 0) -> Kind:
    """A string of so many characters or more."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise WrongValueError("must be a string", value)
        if len(value) < least_length:
            raise WrongValueError(f"must have at least {least_length} character", value)
        return value

    return Kind("text", "texts", "a string", check)


def integer(least: int) -> Kind:
    """A whole number of ``least`` or more."""

    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise WrongValueError("must be an integer", value)
        _check_range(value, least=least)
        return value

    return Kind(f"whole number from {least}", f"whole numbers from {least}", "an integer", check)


def number(*, least: float | None = None, above: float | None = None, most: float | None = None) -> Kind:
    """A number within limits, as a float."""

    def check(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise WrongValueError("must be a number", value)
        _check_range(value, least=least, above=above, most=most)
        try:
            return float(value)
        except OverflowError:
            raise WrongValueError("must be a number", value) from None

    limit = "" if least is None else f" from {least}"
    limit += "" if above is None else f" above {above}"
    return Kind(f"number{limit}", f"numbers{limit}", "a number", check)


def list_of(kind: Kind) -> Kind:
    """A list with items of one kind."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise WrongValueError("must be a list", value)
        return [_checked(kind, item, str(position)) for position, item in enumerate(value)]

    return Kind(f"list of {kind.plural}", f"lists of {kind.plural}", "a list", check)


def table_of(kind: Kind | None) -> Kind:
    """A table with values of one kind; None: of any."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise WrongValueError("must be a dictionary", value)
        return {name: item if kind is None else _checked(kind, item, name) for name, item in value.items()}

    of = "" if kind is None else f" of {kind.plural}"
    return Kind(f"table{of}", f"tables{of}", "a dictionary", check)


def one_of(*known: str) -> Kind:
    """One of some strings."""
    names = [f"'{name}'" for name in known]
    noun = f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            raise WrongValueError(f"must be {noun}", value)
        return value

    words = " or ".join(f'`"{name}"`' for name in known)
    return Kind(words, words, noun, check)


def any_of(*kinds: Kind) -> Kind:
    """Of the first of some kinds that it is of."""
    noun = " or ".join(kind.noun for kind in kinds)

    def check(value: Any) -> Any:
        wrong = []
        for kind in kinds:
            try:
                return kind.check(value)
            except WrongValueError as problem:
                wrong.append(problem)
        inner = next((problem for problem in wrong if problem.place), None)  # a list whose items are wrong, say
        raise inner or WrongValueError(f"must be {noun}", value)

    return Kind(" or ".join(kind.words for kind in kinds), " or ".join(kind.plural for kind in kinds), noun, check)


def _check_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongValueError("must be a boolean", value)
    return value


TEXT = text()
TABLE = table_of(None)
BOOLEAN = Kind("true or false", "true or false", "a boolean", _check_boolean)


def _checked(kind: Kind, value: Any, place: str) -> Any:
    try:
        return kind.check(value)
    except WrongValueError as problem:
        raise WrongValueError(problem.problem, problem.value, place, *problem.place) from None


def _check_range(
    value: float, *, least: float | None = None, above: float | None = None, most: float | None = None
) -> None:
    """NaN is in no range."""
    if least is not None and not value >= least:
        raise WrongValueError(f"must be greater than or equal to {least}", value)
    if above is not None and not value > above:
        raise WrongValueError(f"must be greater than {above}", value)
    if most is not None and not value <= most:
        raise WrongValueError(f"must be less than or equal to {most}", value)
