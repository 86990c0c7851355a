"""``questions``: drafts of questions, with answers and quotes, written by a model from documents."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import complain, say
from pytest_ragcheck.session.arguments import dollars, positive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_ragcheck.commands.questions.asking import Replies
    from pytest_ragcheck.commands.questions.drafts import Drafts
    from pytest_ragcheck.commands.questions.passages import Asked
    from pytest_ragcheck.model import Document, Planned
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.store import Store

__all__ = ["add_parser"]

_ANTHROPIC = "anthropic"
_SUFFIXES = (".yaml", ".yml")
_COMMENT = """\
Drafts by {model}, to be reviewed.
Of each: is it what users ask? Is the reference right? Is the quote all that must be found?
Then take its tag "{tag}" away. Until then:

  pytest --ragcheck -m "not {tag}"
  python -m pytest_ragcheck lint {file}
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser(
        "questions",
        help="draft questions with answers and gold quotes from documents, by a model",
        description="Drafts questions from documents. Each has an answer and a quote; drafts whose quote is not in the "
        "document are dropped. What was paid for is kept in the store: the same command again costs nothing.",
    )
    parser.add_argument(
        "documents", nargs="*", metavar="DOCUMENTS", help="files, folders and globs (default: the configured ones)"
    )
    parser.add_argument("-n", "--number", type=positive, default=20, metavar="N", help="drafts (default: %(default)s)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("drafts.yaml"), help="a new file (default: %(default)s)"
    )
    parser.add_argument(
        "--model", type=_model, help="anthropic:MODEL (default: the configured generator, else judge, if it is one)"
    )
    parser.add_argument("--plan", action="store_true", help="tell calls, tokens and price, and call nothing")
    parser.add_argument("--max-cost", type=dollars, metavar="USD", help="make no call that could go beyond it")
    parser.set_defaults(run=_run)


def _model(text: str) -> str:
    provider, _, model = text.partition(":")
    if provider != _ANTHROPIC or not model.strip():
        raise argparse.ArgumentTypeError(f'expected "{_ANTHROPIC}:MODEL", got {text!r}')
    return model.strip()


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.commands.questions.asking import ask_all, plan_all
    from pytest_ragcheck.commands.questions.passages import choose_passages
    from pytest_ragcheck.commands.questions.prompt import draft_request
    from pytest_ragcheck.report.calls import calls_lines, plan_lines
    from pytest_ragcheck.session.config import load_settings

    output = Path.cwd() / options.output
    _check_output(output)
    settings = load_settings(output.parent, invocation=Path.cwd())
    documents = _documents(settings, options.documents)
    passages = choose_passages(documents, options.number)
    model = options.model or _configured_model(settings)
    requests = [draft_request(asked, model) for asked in passages]
    say(_wanted(passages, options.number, model))
    with _store(settings, keeps=not options.plan) as store:
        planned = asyncio.run(plan_all(requests, settings, store))
        if options.plan:
            say(plan_lines([planned]))
            return 0
        say(_told_beforehand(planned))
        replies = asyncio.run(ask_all(requests, settings, store, max_cost=options.max_cost))
    drafts = _drafts(replies, passages, documents)
    _write(drafts, output, model)
    _tell_what_is_missing(drafts, replies)
    if replies.calls is not None:
        say(calls_lines(replies.calls))
    return int(bool(replies.failures) or not drafts.kept)


def _check_output(output: Path) -> None:
    """Before anything is paid for."""
    from pytest_ragcheck.errors import ConfigurationError

    shown = os.path.relpath(output)
    if output.suffix.lower() not in _SUFFIXES:
        raise ConfigurationError(f"{shown}: drafts are written as YAML; name a file that ends with {_SUFFIXES[0]}")
    if os.path.lexists(output):
        raise ConfigurationError(f"{shown}: is there already and is not overwritten; name another file with -o")
    if not output.parent.is_dir():
        raise ConfigurationError(f"{shown}: there is no folder {os.path.relpath(output.parent)}; make it")


def _documents(settings: Settings, named: Sequence[str]) -> list[Document]:
    """The documents that were named, relative to the current folder, else the configured ones."""
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.rag.ingestion import find_documents, read_document

    patterns = [str(Path.cwd() / pattern) for pattern in named] or settings.documents
    if not patterns:
        raise ConfigurationError("no documents: name some, as in: python -m pytest_ragcheck questions 'docs/**/*.md'")
    return [read_document(path, settings.root) for path in find_documents(patterns, settings.root)]


def _configured_model(settings: Settings) -> str:
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.metrics.judged.settings import named_judge

    for said in (settings.generator, named_judge(settings.judge or "")):
        provider, _, model = said.partition(":")
        if provider == _ANTHROPIC and model:
            return model
    raise ConfigurationError("no model: name one, as in --model anthropic:claude-sonnet-5-5")


def _store(settings: Settings, *, keeps: bool) -> Store:
    """The one beside the configuration; a plan makes none."""
    from pytest_ragcheck.store import Store, state_folder

    path = settings.root / ".ragcheck" / "cache.sqlite"
    if keeps:
        state_folder(settings.root)
    return Store(path if keeps or path.is_file() else None, forgiving=True)


def _wanted(passages: Sequence[Asked], number: int, model: str) -> str:
    from pytest_ragcheck.report.figures import plural

    count = sum(asked.count for asked in passages)
    sources = {asked.chunk.source for asked in passages}
    places = f"{plural(len(passages), 'passage')} of {plural(len(sources), 'document')}"
    told = f"{plural(count, 'question')} to be drafted by {model} from {places}"
    return told if count == number else f"{told}; the documents are too short for {number:,}"


def _told_beforehand(planned: Planned) -> str:
    from pytest_ragcheck.report.calls import dollars
    from pytest_ragcheck.report.figures import plural

    if not planned.calls:
        return "everything is in the store already: no call to make"
    cost = "an unknown price" if planned.cost is None else f"{dollars(planned.cost[0])} to {dollars(planned.cost[1])}"
    return f"{plural(planned.calls, 'model call')} to make, {planned.cached:,} from the cache, for {cost}"


def _drafts(replies: Replies, passages: Sequence[Asked], documents: Sequence[Document]) -> Drafts:
    from pytest_ragcheck.commands.questions.drafts import Drafts

    by_source = {document.source: document for document in documents}
    drafts = Drafts()
    for text, asked in zip(replies.texts, passages, strict=True):
        if text is not None:
            drafts.add(text, asked, by_source[asked.chunk.source])
    return drafts


def _write(drafts: Drafts, output: Path, model: str) -> None:
    from pytest_ragcheck.commands.question_yaml import question_yaml
    from pytest_ragcheck.commands.questions.drafts import DRAFT_TAG
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.report.figures import plural

    shown = os.path.relpath(output)
    if not drafts.kept:
        say("no draft can be used; nothing is written")
        return
    content = question_yaml(drafts.rows(), comment=_COMMENT.format(model=model, tag=DRAFT_TAG, file=shown))
    try:
        with output.open("x", encoding="utf-8", newline="\n") as file:
            file.write(content)
    except OSError as problem:
        remedy = "the replies are in the store, so that the same command again costs nothing"
        raise ConfigurationError(f"{shown}: cannot be written ({problem.strerror}); {remedy}") from None
    say(f"wrote {shown}: {plural(len(drafts.kept), 'draft')}, tagged {DRAFT_TAG!r}; review each")


def _tell_what_is_missing(drafts: Drafts, replies: Replies) -> None:
    for why, count in drafts.dropped.items():
        if count:
            say(f"dropped {count:,}: {why}")
    for reason in replies.not_made:
        complain(f"not asked: {reason}")
    for reason in replies.failures:
        complain(f"failed: {reason}")
