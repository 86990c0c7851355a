"""One question as plain text: what was asked, answered and measured, and why it failed.

The text becomes the message of an assertion, so that it holds no colour, and its first line alone is
what a short summary shows. The most important comes first; long texts are cut down to what the
question, the reference and the gold speak of.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.diagnosis import diagnose
from pytest_ragcheck.report.findings import FindingKind, findings, worst_first
from pytest_ragcheck.report.gold import gold_ranks, missed_gold
from pytest_ragcheck.report.textual import columns, fold, keywords, one_line, pad, shorten, shorten_left
from pytest_ragcheck.report.trials import trial_lines, trials_title
from pytest_ragcheck.trials import shown_trial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_ragcheck.model import Answer, Context, Failure, Result, Score
    from pytest_ragcheck.report.gold import Missed

__all__ = [
    "LEAST_WIDTH",
    "against_threshold",
    "answer_facts",
    "first_line",
    "outcome",
    "question_report",
    "similarity",
]

LEAST_WIDTH = 40
"""Narrower terminals get lines of this many columns."""

_MESSAGE_COLUMNS = 300
_ID_COLUMNS = 80
_NAMED_MISSES = 4
_TURN_LINES, _QUESTION_LINES, _ANSWER_LINES, _REFERENCE_LINES = 2, 4, 10, 5
_GOLD_LINES, _CONTEXT_LINES, _MISSED_LINES = 4, 2, 3
_REASON_LINES, _DETAIL_LINES, _ERROR_LINES = 4, 2, 6
_SHOWN_CONTEXTS, _SHOWN_GOLD, _SHOWN_DETAILS = 8, 8, 3
_NAME_COLUMNS = 24


def first_line(result: Result) -> str:
    """What is wrong and for which question, on one line: ``faithfulness 0.41 < 0.70 [refund-policy]``.

    Of several misses the worst comes first; of an answer or a metric that could not be had, the cause.
    """
    return f"{outcome(result)} [{shorten(result.question.id, _ID_COLUMNS)}]"


def question_report(
    result: Result, *, width: int = 80, rerun: str | None = None, earlier: Mapping[str, float] | None = None
) -> str:
    """Everything about one question; the first line is :func:`first_line`. ``earlier``: scores in the baseline.

    No line is wider than ``width`` columns (at least :data:`LEAST_WIDTH`), but for ``rerun``, the
    command that runs this question again: it is to be copied, and so never broken.
    """
    width = max(width, LEAST_WIDTH)
    blocks = [
        _head(result, width),
        _block("cause", _cause(result.error, width - 2) if result.error is not None else []),
        _block("earlier turns", list(_history_lines(result, width - 2))),
        _block(_question_title(result), fold(result.question.question, width - 2, lines=_QUESTION_LINES)),
        _answer_block(result, width),
        _block("reference", fold(result.question.reference or "", width - 2, lines=_REFERENCE_LINES)),
        _block(f"metrics{_of_trials(result)}", list(_metric_lines(result, earlier or {}, width - 2))),
        _block(trials_title(result), trial_lines(result, width - 2)) if result.trials else [],
        _block("asked again, as it passed in the baseline", list(_confirmation_lines(result, width - 2))),
        *_context_blocks(result, width),
        _block("run this question again", [one_line(rerun)] if rerun else []),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _question_title(result: Result) -> str:
    """A heading, which says where a refusal is right."""
    return "question" if result.question.answerable else "question (unanswerable: a refusal is right)"


def _history_lines(result: Result, width: int) -> Iterator[str]:
    for turn in result.question.history:
        yield from _hanging(f"{turn.role}: {turn.text}", width, lines=_TURN_LINES)


def _no_contexts(answer: Answer) -> str:
    return "(none were retrieved)" if answer.contexts_known else "(the pipeline does not tell which it used)"


def outcome(result: Result) -> str:
    """What is wrong on one line, without the question's id; ``passed`` where nothing is."""
    if result.state is State.NOT_RUN:
        return f"not run: {shorten(result.why_not_run or '', _MESSAGE_COLUMNS)}"
    if result.error is not None:
        return f"no answer: {shorten(result.error.message, _MESSAGE_COLUMNS)}"
    if result.answer is None:
        return "no answer"
    if result.failed_scores:
        return f"{_misses(result.failed_scores)}{_of_trials(result)}"
    if result.unmeasured_scores:
        return _unmeasured(result.unmeasured_scores)
    return "passed"


def _confirmation_lines(result: Result, width: int) -> Iterator[str]:
    for score in result.failed_scores:
        found = [one.scores[score.metric].value for one in result.confirmations if score.metric in one.scores]
        if measured := [value for value in found if value is not None]:
            yield from _hanging(f"{_name(score)} {figures.values(measured)}", width)


def _of_trials(result: Result) -> str:
    """What is said of scores that are means."""
    return f" (mean of {figures.plural(len(result.trials), 'trial')})" if result.trials else ""


def _misses(scores: Sequence[Score]) -> str:
    named = [f"{_name(score)} {against_threshold(score)}" for score in worst_first(scores)]
    more = [f"and {len(named) - _NAMED_MISSES} more"] if len(named) > _NAMED_MISSES else []
    return ", ".join(named[:_NAMED_MISSES] + more)


def _unmeasured(scores: Sequence[Score]) -> str:
    first = scores[0]
    others = f" (and {figures.plural(len(scores) - 1, 'other metric')})" if len(scores) > 1 else ""
    message = first.error.message if first.error is not None else ""
    return f"{_name(first)} could not be measured{others}: {shorten(message, _MESSAGE_COLUMNS)}"


def _name(score: Score) -> str:
    return shorten(score.metric, _NAME_COLUMNS)


def against_threshold(score: Score) -> str:
    """``0.41 < 0.70``; the value alone where there is no threshold, nothing where there is no value."""
    if score.value is None:
        return ""
    if score.threshold is None:
        return figures.value(score.value)
    return figures.comparison(score.value, score.threshold)


def _head(result: Result, width: int) -> list[str]:
    line = first_line(result)
    lines = [line] if columns(line) <= width else _hanging(line, width)
    fault = diagnose(result)
    return lines + _hanging(fault, width) if fault else lines


def _hanging(text: str, width: int, *, lines: int | None = None) -> list[str]:
    first, *others = fold(text, width - 2, lines=lines)
    return [first, *_indented(others)]


def _indented(lines: Iterable[str], by: int = 2) -> list[str]:
    return [" " * by + line for line in lines]


def _block(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *_indented(lines)] if lines else []


def _cause(failure: Failure, width: int) -> list[str]:
    lines = fold(failure.message, width, lines=_ERROR_LINES)
    for key, detail in failure.details.items():
        if detail is None:
            continue
        if "\n" in str(detail):
            lines += [f"{shorten(key, _NAME_COLUMNS)}:", *_indented(_last_lines(str(detail), width - 2))]
        else:
            lines.append(shorten(f"{key}: {detail}", width))
    return lines


def _last_lines(text: str, width: int) -> list[str]:
    """The end of a traceback, which tells more than its start."""
    last = text.rstrip()[-20 * width :].splitlines()[-_ERROR_LINES:]
    return [_shortened_line_of_code(line, width) for line in last if line.strip()]


def _shortened_line_of_code(line: str, width: int) -> str:
    indent = min(len(line) - len(line.lstrip(" ")), width // 2)
    return " " * indent + shorten(line, width - indent)


def _answer_block(result: Result, width: int) -> list[str]:
    answer = result.answer
    if answer is None or not answer.generated:
        return []
    around = keywords(*_unsupported_sentences(result))
    text = fold(answer.text, width - 2, lines=_ANSWER_LINES, around=around, keep_breaks=True) or ["(empty)"]
    return _block(shorten(f"answer ({', '.join(answer_facts(result, answer))})", width), text)


def answer_facts(result: Result, answer: Answer) -> Iterator[str]:
    """In which trial, who answered, how much, how fast, and whether it is a refusal."""
    number = shown_trial(result)
    timing = result.timing if number is None else result.trials[number].timing
    if number is not None:
        yield f"trial {number + 1} of {len(result.trials)}"
    if answer.model:
        yield answer.model
    yield figures.plural(len(answer.text), "character")
    if answer.cached:
        yield "from the cache"
    elif answer.latency is not None or timing.generation:
        yield figures.seconds(timing.generation if answer.latency is None else answer.latency)
    if answer.refused:
        yield "refused"


def _unsupported_sentences(result: Result) -> Iterator[str]:
    for score in result.failed_scores:
        yield from (found.text for found in findings(score) if found.kind is FindingKind.UNSUPPORTED)


def _metric_lines(result: Result, earlier: Mapping[str, float], width: int) -> Iterator[str]:
    failed = worst_first(result.failed_scores)
    errors = [score for score in result.scores.values() if score.error is not None]
    measured = [score for score in result.scores.values() if score.measured and not score.below_threshold]
    thresholded = [score for score in measured if score.threshold is not None]
    reported = [score for score in measured if score.threshold is None]
    shown = [*failed, *errors, *thresholded, *reported]
    values = max((len(against_threshold(score)) for score in shown), default=0)
    room = width - _MARK_COLUMNS - 2 - values - max((len(_in_baseline(score, earlier)) for score in shown), default=0)
    names = min(max((columns(_name(score)) for score in shown), default=0), room)
    for score in shown:
        name = pad(shorten(score.metric, names), names)
        start = f"{_mark(score)}  {name}  {pad(against_threshold(score), values)}{_in_baseline(score, earlier)}"
        yield from _score_lines(score, start, width)
    yield from _not_applicable(result, width)


_MARK_COLUMNS = 7
_LARGE_SIMILARITY = 1000


def _mark(score: Score) -> str:
    if score.error is not None:
        return "ERROR"
    if score.below_threshold:
        return "FAIL "
    return "pass " if score.threshold is not None else "     "


def _score_lines(score: Score, start: str, width: int) -> Iterator[str]:
    inner = width - _MARK_COLUMNS
    if score.error is not None:
        yield start.rstrip()
        yield from _indented(_cause(score.error, inner), by=_MARK_COLUMNS)
    elif score.below_threshold:
        yield start.rstrip()
        yield from _indented(fold(score.reason, inner, lines=_REASON_LINES), by=_MARK_COLUMNS)
        yield from _indented(_detail_lines(score, inner), by=_MARK_COLUMNS)
    else:
        room = width - columns(start) - 2
        yield f"{start}  {shorten(score.reason, room)}".rstrip() if room >= _NAME_COLUMNS else start.rstrip()


def _in_baseline(score: Score, earlier: Mapping[str, float]) -> str:
    return f"  baseline {figures.value(earlier[score.metric])}" if score.metric in earlier else ""


def _not_applicable(result: Result, width: int) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for score in result.scores.values():
        if not score.measured and score.error is None:
            by_reason.setdefault(shorten(score.reason, _MESSAGE_COLUMNS), []).append(_name(score))
    for reason, names in by_reason.items():
        text = f"not applicable: {', '.join(names)}" + (f" ({reason})" if reason else "")
        lines = fold(text, width - 2, lines=_DETAIL_LINES)
        yield from [lines[0], *_indented(lines[1:])]


def _detail_lines(score: Score, width: int) -> Iterator[str]:
    for kind, group in groupby(findings(score), key=attrgetter("kind")):
        found = list(group)
        if kind is FindingKind.MISSING:
            untold = [finding.text for finding in found if finding.text not in score.reason]
            yield from _labelled(kind, "; ".join(untold), width) if untold else ()
            continue
        for finding in found[:_SHOWN_DETAILS]:
            remark = f" ({finding.remark})" if finding.remark else ""
            yield from _labelled(kind, f'"{finding.text}"{remark}', width)
        if len(found) > _SHOWN_DETAILS:
            yield f"and {len(found) - _SHOWN_DETAILS:,} more"


def _labelled(label: str, text: str, width: int) -> list[str]:
    first, *others = fold(f"{label}: {text}", width - 2, lines=_DETAIL_LINES)
    return [first, *_indented(others)]


def _context_blocks(result: Result, width: int) -> Iterator[list[str]]:
    if result.answer is None:
        return
    contexts, gold = result.answer.contexts, gold_ranks(result)
    around = keywords(result.question.question, result.question.reference)
    lines = list(_context_lines(contexts, gold, around, width - 2)) or [_no_contexts(result.answer)]
    yield _block(_contexts_title(result, contexts, gold), lines)
    missed = missed_gold(result)
    if missed:
        yield _block("gold that was not retrieved", list(_missed_lines(missed, around, width - 2)))


def _contexts_title(result: Result, contexts: Sequence[Context], gold: frozenset[int]) -> str:
    if result.answer is not None and not result.answer.contexts_known:
        return "contexts"
    if not result.question.gold and not gold:
        return f"contexts ({len(contexts):,})"
    return f"contexts ({len(contexts):,}, {sum(context.rank in gold for context in contexts):,} with gold)"


def _context_lines(
    contexts: Sequence[Context], gold: frozenset[int], around: frozenset[str], width: int
) -> Iterator[str]:
    shown = _shown(contexts, gold)
    ranks = max((len(str(context.rank)) for context in shown), default=0)
    scores = max((len(similarity(context)) for context in shown), default=0)
    for context in shown:
        mark = ("gold" if context.rank in gold else "    ") + "  " if gold else ""
        start = f"{context.rank:>{ranks}}  {similarity(context):>{scores}}  {mark}"
        yield start + _place(context.source, context.start, context.end, width - len(start))
        lines = _GOLD_LINES if context.rank in gold else _CONTEXT_LINES
        inner = ranks + 2
        yield from _indented(fold(context.text, width - inner, lines=lines, around=around) or ["(empty)"], by=inner)
    shown_ones = set(map(id, shown))
    hidden = [context for context in contexts if id(context) not in shown_ones]
    if hidden:
        gold_hidden = sum(context.rank in gold for context in hidden)
        yield f"and {figures.plural(len(hidden), 'more context')}" + (
            f", {gold_hidden:,} with gold" if gold_hidden else ", none with gold" if gold else ""
        )


def _shown(contexts: Sequence[Context], gold: frozenset[int]) -> list[Context]:
    """The first contexts, and those further down that hold gold."""
    first, rest = contexts[:_SHOWN_CONTEXTS], contexts[_SHOWN_CONTEXTS:]
    return [*first, *[context for context in rest if context.rank in gold][:_SHOWN_GOLD]]


def similarity(context: Context) -> str:
    """The score that the retriever gave, ``-`` where it gave none."""
    if context.score is None:
        return "-"
    return f"{context.score:.3f}" if abs(context.score) < _LARGE_SIMILARITY else f"{context.score:.3g}"


def _place(source: str | None, start: int | None, end: int | None, width: int) -> str:
    span = f" [{start}:{end}]" if start is not None and end is not None else ""
    known = source if source and source.strip() else "(source not known)"
    return shorten_left(known + span, width)


def _missed_rank(missed: Missed) -> str:
    if missed.rank is not None:
        return f"rank {missed.rank:,}  "
    return "" if missed.searched is None else f"beyond rank {missed.searched:,}  "


def _missed_lines(missed: Sequence[Missed], around: frozenset[str], width: int) -> Iterator[str]:
    for entry in missed[:_SHOWN_GOLD]:
        passage = entry.passage
        rank = _missed_rank(entry)
        yield rank + _place(passage.source, passage.start, passage.end, width - len(rank))
        yield from _indented(fold(passage.text or "", width - 3, lines=_MISSED_LINES, around=around), by=3)
    if len(missed) > _SHOWN_GOLD:
        yield f"and {len(missed) - _SHOWN_GOLD:,} more"
