"""Reads a request of the Messages API and writes the message that answers it: checks, usage, prompt cache, events."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.testing.faults import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Params", "Prompt", "PromptCache", "count_tokens", "events", "message", "output_schema", "read_params"]

Params = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
DELTA_CHARACTERS = 24
FIRST_VERSION_WITHOUT_SAMPLING = "2026-10-21"
SAMPLING_PARAMETERS = ("temperature", "top_p", "top_k")


def count_tokens(characters: int) -> int:
    """Tokens of a text of that many characters, by the rule of thumb of four to a token."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def read_params(body: bytes, headers: Mapping[str, str], *, counting: bool = False) -> Params:
    """The request's parameters; raises :class:`ApiError` 400 where the API would. ``counting``: without max_tokens."""
    try:
        params = json.loads(body)
    except ValueError as error:
        raise _invalid("The request body is not valid JSON") from error
    if not isinstance(params, dict):
        raise _invalid("The request body is no JSON object")
    if not isinstance(params.get("model"), str) or not params["model"]:
        raise _invalid("model: Field required")
    max_tokens = params.get("max_tokens")
    if not counting and (not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 0):
        raise _invalid("max_tokens: Field required, a number from 0 up")
    _check_messages(params.get("messages"))
    if headers.get("anthropic-version", "") >= FIRST_VERSION_WITHOUT_SAMPLING:
        for name in SAMPLING_PARAMETERS:
            if name in params:
                raise _invalid(f"{name}: not supported since anthropic-version {FIRST_VERSION_WITHOUT_SAMPLING}")
    return params


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages: at least one message is required")
    for index, turn in enumerate(messages):
        if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant"):
            raise _invalid(f"messages.{index}.role: must be 'user' or 'assistant'")
        content = turn.get("content")
        if not isinstance(content, str) and not (
            isinstance(content, list) and all(isinstance(block, dict) for block in content)
        ):
            raise _invalid(f"messages.{index}.content: must be a string or a list of content blocks")


def _invalid(message: str) -> ApiError:
    return ApiError(400, "invalid_request_error", message, outcome="invalid")


def output_schema(params: Params) -> dict[str, Any] | None:
    """The JSON schema that the reply must follow, where the request asks for one."""
    config = params.get("output_config")
    wanted = (config.get("format") if isinstance(config, dict) else None) or params.get("output_format")
    if wanted is None:
        return None
    schema = wanted.get("schema") if isinstance(wanted, dict) else None
    if not isinstance(schema, dict) or wanted.get("type") != "json_schema":
        raise _invalid("output_config.format: must be of type 'json_schema' and have a schema")
    return schema


@dataclass(frozen=True, slots=True)
class _Block:
    text: str
    cache_ttl: str | None


@dataclass(frozen=True, slots=True)
class _Prefix:
    """The prompt up to a cache breakpoint."""

    digest: bytes
    tokens: int
    ttl: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's size, and its prefixes up to each cache breakpoint, shortest first."""

    tokens: int
    prefixes: tuple[_Prefix, ...] = ()

    @classmethod
    def of(cls, params: Params) -> Prompt:
        """Measure a request, in the order in which the API caches it: tools, system, messages."""
        blocks = list(_blocks(params))
        characters = 0
        hashed = sha256(params["model"].encode())
        prefixes: list[_Prefix] = []
        cached = any(block.cache_ttl for block in blocks)
        for block in blocks:
            characters += len(block.text)
            if cached:
                hashed.update(f"{len(block.text)}:{block.text}".encode("utf-8", "surrogatepass"))
            if block.cache_ttl:
                prefixes.append(_Prefix(hashed.digest(), count_tokens(characters), block.cache_ttl))
        return cls(count_tokens(characters), tuple(prefixes))


def _blocks(params: Params) -> Iterator[_Block]:
    blocks = [_block(tool) for tool in params.get("tools") or ()]
    blocks += _content_blocks(params.get("system") or "")
    for turn in params["messages"]:
        blocks += _content_blocks(turn["content"])
    whole = _cache_ttl(params)
    if whole and blocks:
        blocks[-1] = _Block(blocks[-1].text, whole)
    return iter(blocks)


def _content_blocks(content: Any) -> list[_Block]:
    if isinstance(content, str):
        return [_Block(content, None)]
    return [_block(block) for block in content]


def _block(block: Any) -> _Block:
    if not isinstance(block, dict):
        return _Block(str(block), None)
    text = block.get("text")
    if not isinstance(text, str):
        text = json.dumps({name: value for name, value in block.items() if name != "cache_control"}, sort_keys=True)
    return _Block(text, _cache_ttl(block))


def _cache_ttl(holder: dict[str, Any]) -> str | None:
    control = holder.get("cache_control")
    return str(control.get("ttl", "5m")) if isinstance(control, dict) else None


class PromptCache:
    """Which prompt prefixes were seen; a prefix counts as seen once a message that begins with it was answered."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def read_tokens(self, prompt: Prompt) -> int:
        """Tokens of the longest prefix that was seen."""
        return max((prefix.tokens for prefix in prompt.prefixes if prefix.digest in self._seen), default=0)

    def remember(self, prompt: Prompt) -> None:
        """The prompt was answered."""
        self._seen.update(prefix.digest for prefix in prompt.prefixes)

    def clear(self) -> None:
        """Forget all."""
        self._seen.clear()


def _usage(prompt: Prompt, read: int, output_characters: int) -> dict[str, Any]:
    last = prompt.prefixes[-1] if prompt.prefixes else None
    written = max(0, last.tokens - read) if last else 0
    an_hour = written if last and last.ttl == "1h" else 0
    return {
        "input_tokens": prompt.tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - an_hour,
            "ephemeral_1h_input_tokens": an_hour,
        },
        "output_tokens": max(1, count_tokens(output_characters)),
        "service_tier": "standard",
    }


def message(
    params: Params, text: str, *, prompt: Prompt, cache_read: int, stop_reason: str | None, digest: str
) -> dict[str, Any]:
    """A Message object that says ``text``, cut where ``stop_reason`` or the request's max_tokens wants it cut."""
    most = params["max_tokens"] * CHARACTERS_PER_TOKEN
    if stop_reason == "refusal":
        text = ""
    elif stop_reason is not None:
        text = text[: len(text) // 2]
    elif len(text) > most:
        text, stop_reason = text[:most], "max_tokens"
    details = {"type": "refusal", "category": None, "explanation": "Declined on purpose by the rehearsal server."}
    return {
        "id": f"msg_{digest[:24]}",
        "type": "message",
        "role": "assistant",
        "model": params["model"],
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason or "end_turn",
        "stop_sequence": None,
        "stop_details": details if stop_reason == "refusal" else None,
        "usage": _usage(prompt, cache_read, len(text)),
    }


def events(whole: dict[str, Any]) -> bytes:
    """A message as the server-sent events of ``stream: true``."""
    usage = whole["usage"]
    start = {**whole, "content": [], "stop_reason": None, "stop_details": None, "usage": {**usage, "output_tokens": 1}}
    parts = [_event("message_start", message=start)]
    for index, block in enumerate(whole["content"]):
        text = block.get("text")
        first = {**block, "text": ""} if isinstance(text, str) else block
        parts.append(_event("content_block_start", index=index, content_block=first))
        for at in range(0, len(text or ""), DELTA_CHARACTERS):
            delta = {"type": "text_delta", "text": text[at : at + DELTA_CHARACTERS]}
            parts.append(_event("content_block_delta", index=index, delta=delta))
        parts.append(_event("content_block_stop", index=index))
    end = {name: whole.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    parts.append(_event("message_delta", delta=end, usage={"output_tokens": usage["output_tokens"]}))
    parts.append(_event("message_stop"))
    return "".join(parts).encode()


def _event(kind: str, **fields: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n"
