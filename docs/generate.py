"""Writes what is made from the code: reference pages, and the JSON Schema of a run's file.

    python docs/generate.py            # write docs/reference/{options,configuration,fixtures,metrics}.md and
                                       # docs/run.schema.json
    python docs/generate.py --check    # exit with 1 and name the pages that are out of date

To be run by hand after a change of an option, a configuration key, a fixture or a metric; the suite tells when it
was forgotten.
"""

from __future__ import annotations

import argparse
import ast
import copy
import inspect
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
NOTICE = "<!-- Written by docs/generate.py from the code; edit there. -->"


def pages() -> dict[str, str]:
    """The text of each generated page, by file name."""
    return {
        "options.md": options_page(),
        "configuration.md": configuration_page(),
        "fixtures.md": fixtures_page(),
        "metrics.md": metrics_page(),
    }


def files() -> dict[Path, str]:
    """The text of everything that is generated, by place."""
    return {REFERENCE / name: text for name, text in pages().items()} | {DOCS / "run.schema.json": run_schema()}


def main() -> int:
    """Write the files, or compare them with what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    stale = {path: text for path, text in files().items() if not _is_written(path, text)}
    if parser.parse_args().check:
        for path in stale:
            sys.stdout.write(f"{path.relative_to(DOCS.parent)} is out of date; run python docs/generate.py\n")
        return bool(stale)
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path.relative_to(DOCS.parent)}\n")
    return 0


def _is_written(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


# ---- Options ---------------------------------------------------------------------------------


def options_page() -> str:
    """Every option as it is declared."""
    rows = [(_option_name(name, attributes), _option_text(attributes)) for name, attributes in declared_options()]
    return _page(
        "Options",
        "The plugin's options of `pytest`; `pytest --help` lists them too. An option wins over the configuration.",
        _table(("option", "effect"), rows),
        "All of pytest's own options work as for any other test; [Select and rerun](../how-to/select-and-rerun.md) "
        "shows those that matter most here.",
    )


def declared_options() -> Sequence[tuple[str, Mapping[str, Any]]]:
    """The name and the declaration of each option."""
    from pytest_ragcheck.session.options import add_options

    collected = _DeclaredOptions()
    parser: Any = collected
    add_options(parser)
    return collected.declared


class _DeclaredOptions:
    """Takes the declarations in pytest's place."""

    def __init__(self) -> None:
        self.declared: list[tuple[str, Mapping[str, Any]]] = []

    def getgroup(self, *_: str) -> _DeclaredOptions:
        return self

    def addoption(self, name: str, **attributes: Any) -> None:
        self.declared.append((name, attributes))


def _option_name(name: str, attributes: Mapping[str, Any]) -> str:
    takes_value = not str(attributes.get("action", "")).startswith("store_")
    return f"`{name} {attributes.get('metavar', 'MODE')}`" if takes_value else f"`{name}`"


def _option_text(attributes: Mapping[str, Any]) -> str:
    text: str = attributes["help"]
    for choice in attributes.get("choices", ()):
        text = re.sub(rf" ?(?<![\w-]){choice}(?=:| \(default\):)", f"<br>`{choice}`", text)
    return text.removeprefix("<br>")


# ---- Configuration ---------------------------------------------------------------------------


def configuration_page() -> str:
    """Every key of the schema with its type, default and meaning."""
    from pytest_ragcheck.session.config_schema import KEYS

    parts = [
        CONFIGURATION_RULES,
        "## Keys",
        _table(("key", "type", "default", "meaning"), list(_keys(KEYS))),
        "## Names in `documents`",
        DOCUMENT_RULES.format(suffixes=_document_suffixes()),
        "## Example",
        "```toml\n" + EXAMPLE + "```",
    ]
    return _page("Configuration", *parts)


CONFIGURATION_RULES = """\
The table `[tool.ragcheck]` of `pyproject.toml`, or a file `ragcheck.toml` with the same keys at its top level and its
tables as `[chunking]` and `[metrics]`. The nearest one at or above the folder of the test file (or of the question file
that was named) counts; without one, the nearest one at or above the current folder; without any, the defaults. In one
folder `ragcheck.toml` goes before `pyproject.toml`.

Paths are relative to the file that they stand in. An unknown key is an error that names the nearest known one."""

DOCUMENT_RULES = """\
A file, a folder (all documents below it) or a glob, in which `**` stands for any number of folders. Known suffixes:
{suffixes}.

What is named after `!` is left out: `"!docs/drafts"`. Hidden files and folders are left out too. A pattern that matches
no document is an error. Of documents that differ only in white space the first is kept."""

EXAMPLE = """\
[tool.ragcheck]
questions = "evals/questions.yaml"
documents = ["handbook/**/*.md", "policies/travel.pdf"]
top_k = 5

[tool.ragcheck.chunking]
size = 200
overlap = 40

[tool.ragcheck.metrics]
hit_rate = 1.0
groundedness = 0.8
reference_coverage = "report"
"""


def _keys(keys: Mapping[str, Any], prefix: str = "") -> Iterable[Any]:
    from pytest_ragcheck.session.config_schema import Key

    for name, key in keys.items():
        if isinstance(key, Key):
            default = "none" if key.default in (None, [], {}) else f"`{json.dumps(key.default)}`"
            yield f"`{prefix}{name}`", key.kind.words, default, key.meaning
        else:
            yield from _keys(key, f"{prefix}{name}.")


def _document_suffixes() -> str:
    from pytest_ragcheck.rag.ingestion import DOCUMENT_SUFFIXES

    return ", ".join(f"`{suffix}`" for suffix in sorted(DOCUMENT_SUFFIXES))


# ---- Fixtures --------------------------------------------------------------------------------


def fixtures_page() -> str:
    """Every public fixture with its scope and docstring, and the mark."""
    from pytest_ragcheck.plugin import MARK_LINE

    parts = [FIXTURE_RULES]
    for name, scope, doc in public_fixtures():
        parts += [f"## `{name}`", f"Scope: {scope}.", _markdown(doc)]
    signature, _, meaning = MARK_LINE.partition("): ")
    parts += [f"## The mark `{signature})`", meaning[0].upper() + meaning[1:] + ".", MARK_RULES]
    return _page("Fixtures and mark", *parts)


FIXTURE_RULES = """\
`pytest --fixtures -v` prints the same. A test that names one of the first three has one item for each question of its
suite."""

MARK_RULES = """\
The nearest mark wins, keyword by keyword: that of the test, then of its class, then of its module. A keyword wins over
the configuration. `documents` is a pattern or a list of them. `metrics` maps names to least values (`None`: only
reported), or lists names that are only reported; it replaces the configured table."""


def public_fixtures() -> Iterator[tuple[str, str, str]]:
    """Name, scope and docstring of each fixture, read from the source: pytest wraps the functions."""
    from pytest_ragcheck.session import fixtures

    for node in ast.parse(inspect.getsource(fixtures)).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("ragcheck_"):
            keywords = [word for made in node.decorator_list if isinstance(made, ast.Call) for word in made.keywords]
            scopes = [ast.literal_eval(word.value) for word in keywords if word.arg == "scope"]
            yield node.name, scopes[0] if scopes else "function", ast.get_docstring(node) or ""


# ---- Metrics ---------------------------------------------------------------------------------


def metrics_page() -> str:
    """Every metric with what it needs and its docstring."""
    from pytest_ragcheck.metrics import matching, registry, retrieval, text
    from pytest_ragcheck.metrics.judged.kinds import KINDS

    rows = []
    sections: dict[str, list[str]] = {"retrieval": [], "text": [], "judged": []}
    for name in registry.metric_names():
        needs = " and ".join(f"`{need}`" for need in sorted(registry.required_inputs(name))) or "nothing"
        if name in KINDS:
            family, doc = "judged", KINDS[name].doc
        elif name in retrieval.RETRIEVAL_MEASURES:
            family, doc = "retrieval", _doc(retrieval.RETRIEVAL_MEASURES[name])
        else:
            family, doc = "text", _doc(_metric_class(text, name))
        rows.append((f"[`{name}`](#{name})", family, needs))
        sections[family] += [f"### `{name}`", _markdown(doc)]
    return _page(
        "Metrics",
        METRIC_RULES,
        _table(("metric", "family", "needs"), rows),
        NEEDS,
        "## Retrieval",
        _markdown(_section(_doc(retrieval), "The relevant items", until="A *hit*")),
        "Whether a context matches a gold passage:",
        _markdown(_section(_doc(matching.matches), "- Of different sources")),
        RETRIEVAL_RULES,
        *sections["retrieval"],
        "## Text",
        _markdown(_section(_doc(text), "They compare")),
        *sections["text"],
        "## Judged",
        JUDGED_RULES,
        *sections["judged"],
    )


METRIC_RULES = """\
Each is a number from 0 to 1, higher is better. Only the judged ones call a model.
[Choose metrics and thresholds](../how-to/choose-metrics.md) says which to take."""

NEEDS = """\
`gold`, `reference` and `must_contain` are fields of the question. To a question without the field the metric does not
apply: it neither passes nor fails it. A configured metric that applies to no question of the file is an error.
`embedder` and `judge` are those of the configuration. `answer` and `contexts` come from the pipeline: where it gives
none by design (`generator = "none"`, a retriever), metrics that need an answer are a configuration error; where it
does not tell its contexts, metrics that need them are errors."""

JUDGED_RULES = """\
deepeval's metrics, judged by the model that `judge` names; needs `pip install "pytest-ragcheck[deepeval]"`.
[Judge with deepeval](../how-to/judge-with-deepeval.md) says how. The numbers are deepeval's own. Those that need the
reference, or no answer, do not apply to questions that are marked as unanswerable. An empty answer is an error; without
any context the score is 0, except for a refusal, to which the metric does not apply: neither is asked of the judge."""

RETRIEVAL_RULES = """\
The metrics look at the first `top_k` contexts (k). They do not apply to questions without gold, nor to questions that
are marked as unanswerable."""


def _metric_class(module: Any, name: str) -> Callable[..., Any]:
    return next(kind for kind in vars(module).values() if inspect.isclass(kind) and _default_name(kind) == name)


def _default_name(kind: type) -> str | None:
    field = getattr(kind, "__dataclass_fields__", {}).get("name")
    return None if field is None else field.default


def _section(doc: str, start: str, *, until: str | None = None) -> str:
    """The part of a docstring from ``start`` up to ``until``."""
    for mark in (start, until):
        if mark is not None and mark not in doc:
            message = f"no docstring part starts with {mark!r} any more; correct docs/generate.py"
            raise SystemExit(message)
    return doc[doc.index(start) : None if until is None else doc.index(until)].strip()


# ---- The schema of a run's file --------------------------------------------------------------


def run_schema() -> str:
    """JSON Schema of a run's file: pydantic's, with the model's docstrings as descriptions.

    What differs between versions of pydantic is left out.
    """
    from pydantic import TypeAdapter

    from pytest_ragcheck import comparison, model
    from pytest_ragcheck.report import aggregate

    made, compared, summary = (
        TypeAdapter(kind).json_schema(mode="serialization", ref_template="#/$defs/{model}")
        for kind in (model.Run, comparison.Comparison, aggregate.MetricSummary)
    )
    definitions = {**made.pop("$defs"), **compared.pop("$defs"), "Comparison": compared, "MetricSummary": summary}
    told = {
        name: fields for module in (model, comparison, aggregate) for name, fields in _told(inspect.getsource(module))
    }
    run = _described(made, told["Run"])
    run["properties"]["metrics"] = {
        "description": "Only in a JSON report: by question file and metric what its questions got.",
        "type": "object",
        "additionalProperties": {"type": "object", "additionalProperties": {"$ref": "#/$defs/MetricSummary"}},
    }
    run["properties"]["comparison"] = {
        "description": "Only in a JSON report of a run that was compared with a baseline.",
        "$ref": "#/$defs/Comparison",
    }
    run["properties"]["schema_version"] = {"const": model.Run.schema_version, "type": "integer"}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of pytest-ragcheck",
        **run,
        "required": [*run["required"], "schema_version"],
        "$defs": _with_trials({name: _described(definitions[name], told.get(name, {})) for name in definitions}),
    }
    return json.dumps(schema, indent=2) + "\n"


TRIAL = "A repetition of the question of the result that holds it."
TRIAL_CONTEXTS = (
    "A number stands for a context that the same result holds before: counted from 0 over its different contexts."
)
TRIAL_QUESTION = "Left out where it is that of the result."


def _with_trials(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions with those of trials, of which the file holds what their result does not (run_file.py)."""
    made = copy.deepcopy(definitions)
    for name in ("trials", "confirmations"):
        made["Result"]["properties"][name]["items"] = {"$ref": "#/$defs/Trial"}
    trial = copy.deepcopy(definitions["Result"]) | {"description": TRIAL}
    trial["required"].remove("question")
    question = trial["properties"]["question"]
    trial["properties"]["question"] = {"$ref": question["$ref"], "description": TRIAL_QUESTION}
    trial["properties"]["answer"] = json.loads(
        json.dumps(trial["properties"]["answer"]).replace("#/$defs/Answer", "#/$defs/TrialAnswer")
    )
    answer = copy.deepcopy(definitions["Answer"])
    contexts = answer["properties"]["contexts"]
    contexts |= {
        "items": {"anyOf": [contexts["items"], {"minimum": 0, "type": "integer"}]},
        "description": TRIAL_CONTEXTS,
    }
    made |= {"Trial": trial, "TrialAnswer": answer}
    return {name: made[name] for name in sorted(made)}


def _told(source: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Of each class what its docstring says, by the empty name, and what those under its fields say, by the fields'."""
    for kind in ast.parse(source).body:
        if isinstance(kind, ast.ClassDef):
            pairs = zip(kind.body, kind.body[1:], strict=False)
            fields = {
                field.target.id: _plain_doc(told.value.value)
                for field, told in pairs
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(told, ast.Expr)
                and isinstance(told.value, ast.Constant)
            }
            yield kind.name, {"": _plain_doc(ast.get_docstring(kind) or ""), **fields}


def _plain_doc(doc: Any) -> str:
    return re.sub(r"\bNone\b", "null", " ".join(_markdown(inspect.cleandoc(str(doc))).split()))


def _described(definition: dict[str, Any], told: Mapping[str, str]) -> dict[str, Any]:
    described = {"description": told.get("", ""), **_without_noise(definition)}
    for name, field in described.get("properties", {}).items():
        if name in told:
            described["properties"][name] = {"description": told[name], **field}
    return described


def _without_noise(schema: Any, *, names: bool = False) -> Any:
    """Without titles that repeat the name, without what holds anyway; ``names``: the keys are names of properties."""
    if isinstance(schema, list):
        return [_without_noise(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = schema if names else {key: entry for key, entry in schema.items() if not _is_noise(key, entry)}
    return {key: _without_noise(entry, names=not names and key == "properties") for key, entry in kept.items()}


def _is_noise(key: str, entry: Any) -> bool:
    return key in {"title", "description"} or (key == "additionalProperties" and entry is True)


# ---- Markdown --------------------------------------------------------------------------------


def _doc(thing: Any) -> str:
    doc = inspect.getdoc(thing)
    if not doc:
        message = f"{thing!r} has no docstring"
        raise SystemExit(message)
    return doc


def _markdown(doc: str) -> str:
    """A docstring's roles and double backticks as Markdown's; what names a function or module of ours is left out."""
    doc = re.sub(r"\s\(:(?:func|mod):`[^`]+`\)", "", doc)
    doc = re.sub(r":\w+:`~?([^`]+)`", lambda role: f"`{role[1].rpartition('.')[2]}`", doc)
    return doc.replace("``", "`")


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", NOTICE, *parts]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
