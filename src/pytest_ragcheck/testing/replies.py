"""What a rehearsed model says: the sentence of the prompt that is nearest to its question, or JSON for a schema."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.testing.draft_prompts import drafted
from pytest_ragcheck.testing.extracts import extract, prompt_text
from pytest_ragcheck.testing.judge_prompts import Task, task_of
from pytest_ragcheck.testing.schema_values import schema_value

if TYPE_CHECKING:
    from pytest_ragcheck.testing.schema_values import Schema

__all__ = ["default_reply"]


def default_reply(request: dict[str, Any], schema: Schema | None = None, *, counts: bool = True) -> str:
    """The reply to a request of the Messages API: JSON where ``schema`` is given, else an extract of the prompt.

    Where questions about a passage are asked for, the JSON has them, with quotes that stand in it.
    To a judge's prompt the JSON has an item for each thing that is to be judged; without ``counts``, any number.
    Raises :class:`SchemaError` where the schema cannot be followed.
    """
    if schema is None:
        return extract(request)
    text = prompt_text(request)
    if (drafts := drafted(text, schema)) is not None:
        return json.dumps(drafts)
    digest = sha256(json.dumps([text, schema], sort_keys=True).encode()).hexdigest()
    task = task_of(text) if counts else Task()
    return json.dumps(schema_value(schema, seed=digest, material=task.material or text, lists=task.lengths(schema)))
