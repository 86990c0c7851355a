"""Where the fault of a failed question lies: in the retriever, the generator or the measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_ragcheck.model import NOT_RUN, State
from pytest_ragcheck.report.figures import plural
from pytest_ragcheck.report.gold import gold_ranks, missed_gold
from pytest_ragcheck.report.textual import shorten, shorten_left

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pytest_ragcheck.model import Answer, Result, Score
    from pytest_ragcheck.report.gold import Missed

__all__ = ["diagnose"]

_RETRIEVAL = frozenset({"hit_rate", "recall", "precision", "mrr", "ndcg", "map"})
_JUDGED_RETRIEVAL = frozenset({"contextual_precision", "contextual_recall", "contextual_relevancy"})
_SUPPORT = frozenset({"faithfulness", "groundedness", "hallucination"})
_REFERENCE = frozenset({"answer_similarity", "reference_coverage", "must_contain", "correctness"})
_WITHOUT_JUDGE = _RETRIEVAL | {"groundedness", "answer_similarity", "reference_coverage", "must_contain", "refusal"}

_TELLING = _RETRIEVAL | _JUDGED_RETRIEVAL | _SUPPORT | _REFERENCE | {"refusal", "answer_relevancy"}
"""Metrics from which something follows; of others' metrics it is not known what they look at."""

_NO_GOLD = "; gold in the question would tell which"
_NO_CONTEXTS = "; the contexts, which the pipeline does not return, would tell which"

_LEAST_RIGHT = 0.5
"""The refusal metric is 1 or 0; this tells them apart."""

_NAME_COLUMNS = 60
"""Columns of a source or a list of names within the sentence."""


def diagnose(result: Result) -> str | None:
    """One sentence that says where the fault lies; None where there is none, or where it cannot be told.

    Retriever: gold was not retrieved, or retrieved low. Generator: the answer is not supported by its
    contexts, misses the reference or refuses although the gold was retrieved, or answers what the
    documents cannot answer. Retriever or generator: the answer misses the reference or refuses, and the question
    has no gold or the contexts are not known. Judge (or measurement): nothing is known to be wrong but a metric could
    not be measured.
    """
    if result.state is State.FAILED and result.answer is not None:
        return _fault(result, result.answer)
    if result.state is State.ERROR and result.error is None:
        return _unmeasured(result)
    return None


def _fault(result: Result, answer: Answer) -> str | None:
    failed = {score.metric: score for score in result.failed_scores}
    if not failed.keys() & _TELLING:
        return None
    if not result.question.answerable:
        return _fault_without_an_answer_to_find(result, failed, answer)
    if missed_gold(result) and not gold_ranks(result):
        return _sentence(
            "retriever", f"none of the gold was retrieved{_places(result)}{_consequence(result, failed, answer)}"
        )
    found = [*_retrieval_faults(result, failed), *_generation_faults(result, failed, answer)]
    return _joined(found or list(_faults_without_gold(result, failed, answer)))


def _joined(faults: list[tuple[str, str]]) -> str | None:
    if not faults:
        return None
    (first_place, first_fault), *others = faults
    parts = [f"{first_place}: {first_fault}"]
    previous = first_place
    for place, fault in others:
        parts.append(fault if place == previous else f"{place}: {fault}")
        previous = place
    text = "; ".join(parts)
    return text[0].upper() + text[1:] + "."


def _sentence(place: str, fault: str) -> str | None:
    return _joined([(place, fault)])


def _fault_without_an_answer_to_find(result: Result, failed: Mapping[str, Score], answer: Answer) -> str | None:
    if not _refused(result, answer):
        return _sentence("generator", "it answered although the documents do not hold the answer")
    unsupported = _failed_of(failed, _SUPPORT)
    return _sentence("generator", _support_fault(unsupported)) if unsupported else None


def _consequence(result: Result, failed: Mapping[str, Score], answer: Answer) -> str:
    if _refused(result, answer):
        return ", so that a refusal had to follow"
    if _failed_of(failed, _SUPPORT):
        return ", and the answer says what its contexts do not"
    return ""


def _retrieval_faults(result: Result, failed: Mapping[str, Score]) -> Iterable[tuple[str, str]]:
    retrieval, judged = _failed_of(failed, _RETRIEVAL), _failed_of(failed, _JUDGED_RETRIEVAL)
    missed = missed_gold(result)
    if missed and (retrieval or judged or _failed_of(failed, _REFERENCE)):
        whole = max(len(result.question.gold), len(missed))
        were = "was" if len(missed) == 1 else "were"
        yield "retriever", f"{len(missed)} of {plural(whole, 'gold passage')} {were} not retrieved{_places(result)}"
    elif retrieval:
        yield "retriever", _ranking_fault(result, retrieval)
    elif judged:
        yield "retriever", f"the judge finds the contexts wanting ({_names(judged)})"


def _ranking_fault(result: Result, failed: Collection[Score]) -> str:
    ranks = gold_ranks(result)
    if not ranks:
        return f"it missed what was to be found ({_names(failed)})"
    if {score.metric for score in failed} == {"precision"}:
        contexts = len(result.answer.contexts) if result.answer is not None else 0
        return f"{len(ranks)} of {plural(contexts, 'context')} hold gold, the others are beside the question"
    return f"the gold was retrieved, but low: the first at rank {min(ranks)}"


def _generation_faults(result: Result, failed: Mapping[str, Score], answer: Answer) -> Iterable[tuple[str, str]]:
    some_retrieved = bool(gold_ranks(result))
    retrieved = some_retrieved and not missed_gold(result)
    if _refused(result, answer):
        if some_retrieved and failed.keys() - _RETRIEVAL - _JUDGED_RETRIEVAL:
            yield "generator", "it refused to answer although gold was retrieved"
        return
    if unsupported := _failed_of(failed, _SUPPORT):
        yield "generator", ("the gold was retrieved, but " if retrieved else "") + _support_fault(unsupported)
    elif (incomplete := _failed_of(failed, _REFERENCE)) and retrieved:
        yield "generator", f"the gold was retrieved, but the answer misses the reference ({_names(incomplete)})"
    elif "answer_relevancy" in failed:
        yield "generator", "the answer does not keep to the question"


def _faults_without_gold(result: Result, failed: Mapping[str, Score], answer: Answer) -> Iterable[tuple[str, str]]:
    if result.question.gold and answer.contexts_known:
        return
    what_would_tell = _NO_GOLD if answer.contexts_known else _NO_CONTEXTS
    if _refused(result, answer):
        yield "retriever or generator", f"it refused to answer{what_would_tell}"
    elif incomplete := _failed_of(failed, _REFERENCE):
        yield "retriever or generator", f"the answer misses the reference ({_names(incomplete)}){what_would_tell}"


def _refused(result: Result, answer: Answer) -> bool:
    """As the pipeline said, else as the refusal metric read it; where neither did, as the question deserves."""
    if answer.refused is not None:
        return answer.refused
    refusal = result.scores.get("refusal")
    if refusal is None or refusal.value is None:
        return not result.question.answerable
    right = refusal.value >= _LEAST_RIGHT
    return right != result.question.answerable


def _support_fault(unsupported: Collection[Score]) -> str:
    sentences = max((_count_of(score.details.get("unsupported")) for score in unsupported), default=0)
    if not sentences:
        return f"the contexts do not support the answer ({_names(unsupported)})"
    are = "is" if sentences == 1 else "are"
    return f"{plural(sentences, 'sentence')} of the answer {are} not supported by its contexts"


def _count_of(entries: Any) -> int:
    return len(entries) if isinstance(entries, (list, tuple)) else 0


def _failed_of(failed: Mapping[str, Score], family: frozenset[str]) -> list[Score]:
    return [score for name, score in failed.items() if name in family]


def _names(scores: Iterable[Score]) -> str:
    return shorten(", ".join(score.metric for score in scores), _NAME_COLUMNS)


def _places(result: Result) -> str:
    placed = {missed.passage.source: missed for missed in reversed(missed_gold(result)) if missed.passage.source}
    if not placed:
        return ""
    *others, first = placed
    shown = f"{shorten_left(first, _NAME_COLUMNS)}{_depth(placed[first])}"
    return f" ({shown}{f' and {len(others)} more' if others else ''})"


def _depth(missed: Missed) -> str:
    if missed.rank is not None:
        return f" at rank {missed.rank:,}"
    return "" if missed.searched is None else f" beyond rank {missed.searched:,}"


def _unmeasured(result: Result) -> str | None:
    scores = [score for score in result.unmeasured_scores if score.error is not None and score.error.kind != NOT_RUN]
    if not scores:
        return None
    judged = any(score.metric not in _WITHOUT_JUDGE for score in scores)
    return _sentence(
        "judge" if judged else "measurement",
        f"{_names(scores)} could not be measured, which says nothing about the answer",
    )
