"""What is sent: a request with the question in it, headers and address with values of the environment in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pytest_ragcheck.errors import ConfigurationError, did_you_mean
from pytest_ragcheck.rag.adapters.messages import messages_of

if TYPE_CHECKING:
    from pytest_ragcheck.model import Question

__all__ = ["DEFAULT_REQUEST", "Address", "Headers", "Request"]

_SECRET = re.compile("auth|bearer|cookie|credential|key|passw|secret|token", re.IGNORECASE)
_LONG = 20
QUESTION, HISTORY = "question", "history"
DEFAULT_REQUEST: Mapping[str, Any] = {QUESTION: f"${QUESTION}"}


class Request:
    """The JSON that is sent, with ``$question`` and ``$history`` in its texts.

    ``$question`` stands in a text, alone or among other words. ``$history`` stands alone: as a value it is the list of
    earlier messages (``role``, ``content``), as an element of a list it is these messages as elements. ``$$`` is a
    dollar sign. As the texts are filled in when they are texts already, no character of a question needs escaping.

    Raises :class:`~pytest_ragcheck.errors.ConfigurationError` for another ``$name``.
    """

    def __init__(self, said: Mapping[str, Any] | str) -> None:
        self._body: Any = _parsed(said) if isinstance(said, str) else said
        names = {name for text in _texts(self._body) for name in _names(text)}
        unknown = sorted(names - {QUESTION, HISTORY})
        if unknown:
            near = did_you_mean(unknown[0], [QUESTION, HISTORY])
            raise ConfigurationError(f"unknown ${unknown[0]}{near} (write a dollar sign as $$)")
        if any(HISTORY in _names(text) and not _is_history(text) for text in _texts(self._body)):
            raise ConfigurationError(f'${HISTORY} is a list of messages: write it alone, as "${HISTORY}"')
        self.has_question = QUESTION in names
        self.takes_history = HISTORY in names

    def filled(self, question: Question) -> Any:
        """The JSON value for one question."""
        return _filled(self._body, question.question, messages_of(question))


def _parsed(said: str) -> Any:
    try:
        return json.loads(said)
    except ValueError as problem:
        raise ConfigurationError(
            f'not valid JSON ({problem}); ${QUESTION} stands in double quotes, as in {{"{QUESTION}": "${QUESTION}"}}'
        ) from None


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for entry in entries for text in _texts(entry)]


def _names(text: str) -> list[str]:
    template = Template(text)
    if not template.is_valid():
        raise ConfigurationError(f"{text!r}: a $ without a name; write a dollar sign as $$")
    return template.get_identifiers()


def _is_history(value: Any) -> bool:
    return value in {f"${HISTORY}", f"${{{HISTORY}}}"} if isinstance(value, str) else False


def _filled(value: Any, question: str, history: list[dict[str, str]]) -> Any:
    if _is_history(value):
        return history
    if isinstance(value, str):
        return Template(value).substitute({QUESTION: question})
    if isinstance(value, Mapping):
        return {key: _filled(entry, question, history) for key, entry in value.items()}
    if isinstance(value, list):
        filled = ((entry, _filled(entry, question, history)) for entry in value)
        return [part for entry, made in filled for part in (made if _is_history(entry) else [made])]
    return value


class Headers:
    """Header lines whose ``$NAME`` are variables of the environment, read when a request is sent and kept nowhere."""

    def __init__(self, said: Mapping[str, str]) -> None:
        self._said = dict(said)
        self.variables = _ordered(name for text in said.values() for name in _names(text))

    def check(self) -> None:
        """Raise :class:`~pytest_ragcheck.errors.ConfigurationError` where a variable is missing or no header."""
        for name, text in self._said.items():
            try:
                _expanded(text)
            except ConfigurationError as problem:
                raise ConfigurationError(f"headers.{name}: {problem}") from None

    def expanded(self) -> dict[str, str]:
        """The lines as they are sent."""
        return {name: _expanded(text) for name, text in self._said.items()}

    def secrets(self) -> list[str]:
        """Values that must be seen nowhere: keys by the names of header or variable, and whatever is as long as one.

        A tenant's or a language's name is none: it may well stand in an answer.
        """
        found = []
        for header, text in self._said.items():
            values = {name: os.environ.get(name, "").strip() for name in _names(text)}
            is_secret = bool(_SECRET.search(header))
            found += [
                value for name, value in values.items() if is_secret or _SECRET.search(name) or len(value) >= _LONG
            ]
        return found


class Address:
    """A URL whose ``$NAME`` are variables of the environment, and whose ``$question`` is the question, encoded."""

    def __init__(self, said: str) -> None:
        self._said = said
        self.variables = tuple(name for name in _ordered(_names(said)) if name != QUESTION)
        self.has_question = QUESTION in _names(said)

    @property
    def shown(self) -> str:
        """As it was written, without what follows a question mark: an address may hold secrets there."""
        return self._said.partition("?")[0]

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return urlsplit(self.filled("")).hostname in {"127.0.0.1", "::1", "localhost"}

    def secrets(self) -> list[str]:
        """Values of the environment that stand where addresses hold keys: after the question mark."""
        names = _names(self._said.partition("?")[2])
        return [os.environ.get(name, "").strip() for name in names if name != QUESTION]

    def check(self) -> None:
        """Raise :class:`~pytest_ragcheck.errors.ConfigurationError` where it is no address to ask."""
        parts = urlsplit(self.filled("question"))
        if parts.username is not None or parts.password is not None:
            raise ConfigurationError(
                "the address holds a password; take it out, and send it from the environment: "
                'headers = {Authorization = "Basic $CREDENTIALS"}'
            )
        try:
            _ = parts.port
        except ValueError:
            parts = parts._replace(netloc="")
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(f"{self.shown} is no address of a host")

    def filled(self, question: str) -> str:
        """The URL for one question."""
        return _expanded(self._said, {QUESTION: quote(question, safe="")})


def _expanded(text: str, given: Mapping[str, str] | None = None) -> str:
    """With values of the environment; ConfigurationError, which tells none of them, where one cannot be sent."""
    values = dict(given or {})
    for name in _names(text):
        if name in values:
            continue
        value = os.environ.get(name, "").strip()
        if not value:
            raise ConfigurationError(
                f"the environment variable {name} is not set; set it, or write a dollar sign as $$"
            )
        if not (value.isascii() and value.isprintable()):
            raise ConfigurationError(f"the environment variable {name} holds characters that cannot be sent")
        values[name] = value
    return Template(text).substitute(values)


def _ordered(names: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
