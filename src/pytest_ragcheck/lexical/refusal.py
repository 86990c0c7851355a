"""Whether a text declines to answer.

A text is a refusal where it says that the question cannot be answered, and holds no answer beside
that. Its clauses are told apart by what they do:

- *declining*: "the documents do not mention ...", "I could not find ...";
- *filler*: apologies, whom to ask instead, what the documents are about otherwise;
- *substance*: anything else with content of its own. "The policy does not mention contractors, but
  employees get 10 days" answers in part, and is no refusal.

The patterns follow the grammar of such sentences in English: who (the documents, I, there), a
negation, a verb of telling, holding or finding. They were not fitted to a set of answers.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import cache, lru_cache
from typing import NamedTuple

from pytest_ragcheck.lexical.folding import fold, normalized
from pytest_ragcheck.lexical.words import content_words
from pytest_ragcheck.sentences import sentence_spans

__all__ = ["is_refusal"]

_LONGEST_EXAMINED = 4000
"""Characters. A longer text holds more than a refusal."""
_LEAST_SUBSTANCE = 2
"""Content words. A clause with fewer ("Sorry.", "To be clear:") says nothing of its own."""


class _Act(Enum):
    DECLINES_ALL = auto()
    """Declines the question as a whole: "this cannot be answered"."""
    DECLINES = auto()
    FILLER = auto()
    SUBSTANCE = auto()


def is_refusal(text: str) -> bool:
    """Whether ``text`` declines to answer instead of answering, even in part. An empty text is no refusal."""
    if len(text) > _LONGEST_EXAMINED:
        return False
    return _is_refusal(text)


@lru_cache(maxsize=1024)  # several metrics ask about the same answer
def _is_refusal(text: str) -> bool:
    acts = [_act(clause) for clause in _clauses(text)]
    if _Act.SUBSTANCE not in acts:
        return _Act.DECLINES in acts or _Act.DECLINES_ALL in acts
    # "The pages list bonuses by level. This question cannot be answered from them."
    after_substance = acts[len(acts) - acts[::-1].index(_Act.SUBSTANCE) :]
    return _Act.DECLINES_ALL in after_substance


def _act(clause: str) -> _Act:
    plain, patterns = _simplified(clause), _patterns()
    if patterns.declines_all.search(plain):
        return _Act.DECLINES_ALL
    if patterns.declines.search(plain) or patterns.short_refusal.fullmatch(plain.strip(" .!")):
        return _Act.DECLINES
    if clause.endswith("?") or patterns.filler.match(plain) or len(content_words(clause)) < _LEAST_SUBSTANCE:
        return _Act.FILLER
    return _Act.SUBSTANCE


# ---- Clauses ---------------------------------------------------------------------------------

_MARKS = re.compile(r"[*_`#>|]+|\[\^?\d+\]|^[ \t]*+[-•]\s+", re.MULTILINE)
_CLAUSE_BORDER = re.compile(
    r"(?:[,.]? (?:but(?! (?:do|does|did|is|are|was|were|can|could)(?: |n't))|however|though|nevertheless)\b,?|"
    r";| -+ |: |, so |"
    r", and (?=(?:i|we|the|it|they|there|this|these|you|none|nothing)\b)) ?"
)
_CONCESSION = re.compile(r"(?:although|though|even though|while|whereas|despite)\b[^,]*, ")


def _clauses(text: str) -> list[str]:
    clauses: list[str] = []
    for start, end in sentence_spans(text):
        sentence = fold(_MARKS.sub(" ", normalized(text[start:end])))
        main, conceded = _main_and_concession(sentence)
        # What is conceded ("While the pages list bonuses, they ...") answers nothing, yet it may decline.
        if conceded and _act(conceded) in (_Act.DECLINES, _Act.DECLINES_ALL):
            clauses.append(conceded)
        clauses.extend(clause.strip() for clause in _CLAUSE_BORDER.split(main) if clause.strip(" .!,"))
    return clauses


def _main_and_concession(sentence: str) -> tuple[str, str]:
    concession = _CONCESSION.match(sentence)
    return (sentence[concession.end() :], concession[0].strip(" ,")) if concession else (sentence, "")


# ---- One form for each negation --------------------------------------------------------------

_ADVERB = (
    r"(?:actually|explicitly|specifically|directly|clearly|currently|really|fully|simply|personally|further|even|also|"
    r"either|otherwise|therefore|still|unfortunately|regrettably|reliably|definitively|only partly)"
)
_BE = r"(?:am|are|is|was|were|have been)"
_SIMPLIFICATIONS = [
    (r"\b(i|we)(?:'m|'re)\b", r"\1 am"),
    (r"\bthere's\b", "there is"),
    (r"\bit's\b", "it is"),
    (rf"\b{_ADVERB}\b,? ", ""),
    (r"\b(?:appear|seem)s? to (?:be )?", ""),
    (rf"\b(?:{_BE}(?:n't| not)? )?(?:unable|not able|(?<=n't )able|(?<=not )able) to\b", "cannot"),
    (r"\b(?:fail|fails|failed) to\b", "cannot"),
    (r"\b(?:can|could|would|will|may|might) ?(?:not|n't)\b|\bcan't\b|\bwon't\b", "cannot"),
    (r"\bcannot be able to\b", "cannot"),
    (r"\b(?:do|does|did)(?: not|n't)\b", "doesnot"),
    (r"\b(?:am|is|are|was|were|has been|have been)(?: not|n't)\b|\b(?:has|have)(?: not|n't) been\b", "isnot"),
]


@cache
def _simplifications() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(pattern), replacement) for pattern, replacement in _SIMPLIFICATIONS]


def _simplified(clause: str) -> str:
    for pattern, replacement in _simplifications():
        clause = pattern.sub(replacement, clause)
    return clause


# ---- Patterns over simplified clauses --------------------------------------------------------


class _Patterns(NamedTuple):
    declines_all: re.Pattern[str]
    declines: re.Pattern[str]
    short_refusal: re.Pattern[str]
    filler: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compiled when the first text is examined: it takes a tenth of a second, which many a run has no need of."""
    return _Patterns(*map(re.compile, (_DECLINES_ALL, _DECLINES, _SHORT_REFUSAL, _FILLER)))


def _any_of(*patterns: str) -> str:
    return f"(?:{'|'.join(patterns)})"


_FEW_WORDS = r"(?:[\w'/-]+ ){0,5}?"
_DOCUMENT = (
    r"(?:document(?:s|ation)?|docs?|contexts?|passages?|excerpts?|texts?|sources?|materials?|handbooks?|manuals?|guides?|"
    r"pages?|articles?|sections?|snippets?|chunks?|knowledge base|search results|"
    r"information|content|faqs?|wiki|website|paragraphs?|extracts?|corpus)"
)
_RULES = r"(?:polic(?:y|ies)|guidelines?|rules?|regulations?|contracts?|agreements?|procedures?|terms|plans?)"
_THE = r"\b(?:the|these|this|those|my|your|our|any of|all|provided|given|available|retrieved|supplied)"
_SOURCE = rf"(?:{_THE} {_FEW_WORDS}{_DOCUMENT}(?: [\w'-]+){{0,5}}?|^{_DOCUMENT})"
_POLICY = rf"(?:{_THE} {_FEW_WORDS}{_RULES}(?: [\w'-]+){{0,3}}?)"
_IN_SOURCE = (
    r"(?:in|by|within|from|on|based on|with|using|given|among|across) "
    rf"(?:(?:the|these|this|those|any of|all|what|your|our|my|provided) {_FEW_WORDS}(?:{_DOCUMENT}|{_RULES})\b|"
    r"(?:them|here|what)\b)"
)
_TELL = (
    r"(?:mention|specify|state|say|address|discuss|describe|indicate|explain|answer|tell|list|define|detail|clarify|"
    r"reference|refer to|speak to|touch on|elaborate|make (?:any )?mention|help)"
)
_HOLD = r"(?:contain|include|provide|give|cover|have|hold|offer (?:any )?(?:information|details|guidance))"
_TOLD = (
    r"(?:mentioned|specified|stated|said|addressed|discussed|described|indicated|explained|answered|listed|defined|"
    r"detailed|clarified|covered|provided|given|included|contained|found|available|present|documented|referenced|made)"
)
_FACTS = (
    r"(?:information|info|details?|data|context|evidence|mention|answers?|guidance|specifics|references?|indication)"
)
_KNOWLEDGE = r"(?:information|info|idea|answer|data|details|knowledge|way|access|context|documents?)"
_TOO_LITTLE = r"(?:no|not any|nothing|insufficient|not enough|not sufficient)"
_FIND = r"(?:find|locate|see|answer|tell|say|determine|know|establish|infer|conclude|speculate|comment)"
_GIVE = r"(?:provide|give|offer|share|confirm|verify|identify)"
_HAVE_OR_FIND = r"(?:have|had|found|find|see|saw|can find|could find|can see)"
_TREAT = r"(?:mention|discuss|describe|cover|refer|focus|talk|deal|address|outline|explain|list)(?:s|es)?"
_I = r"(?:^|[,:] |\bthat |\band |\bso )(?:i|we) "
_THE_QUESTION = r"(?:this|that|the|your) (?:\w+ )?(?:question|query|request|topic|subject)"
_NOT_RELATIVE = r"(?<!that )(?<!which )(?<!who )(?<!if )(?<!unless )(?<!when )(?<!where )(?<!whenever )(?<!because )"
_TO_DETERMINE = r"(?:answer|say|tell|determine|know|find out|infer|conclude)"

_DECLINES_ALL = _any_of(
    rf"\b{_THE_QUESTION} cannot be (?:answered|determined|addressed)",
    r"\b(?:this|it|that) cannot be (?:answered|determined|inferred)\b",
    rf"\b(?:i|we) cannot (?:answer|respond to) {_THE_QUESTION}",
    rf"{_SOURCE} (?:doesnot|cannot) answer {_THE_QUESTION}",
    r"\bunanswerable\b",
)
_DECLINES = _any_of(
    # The documents do not say.
    rf"{_SOURCE} (?:doesnot|cannot|never) (?:{_TELL}|{_HOLD})\b",
    rf"\b(?:it|they) (?:doesnot|cannot|never) {_TELL}\b",
    rf"\b(?:it|they) (?:doesnot|cannot|never) {_HOLD} (?:[\w'-]+ ){{0,3}}?(?:{_FACTS}|this|that|anything)\b",
    rf"{_POLICY} doesnot {_TELL}\b",
    rf"\b(?:none of (?:{_SOURCE}|them|these)|neither (?:of )?(?:{_SOURCE}|{_DOCUMENT}|them)) (?:{_TELL}|{_HOLD})s?\b",
    rf"(?:{_SOURCE}|{_POLICY}) (?:{_HOLD}|say|make|ha|had)s? (?:nothing|no (?:\w+ ){{0,2}}?{_FACTS})\b",
    rf"(?:{_SOURCE}|{_POLICY}) (?:is|are) silent\b",
    rf"{_SOURCE} (?:lacks?|omits?|(?:is|are) (?:insufficient|inadequate)|isnot (?:sufficient|enough|clear|specific))\b",
    rf"{_NOT_RELATIVE}\bisnot {_TOLD} (?:\w+ ){{0,2}}?{_IN_SOURCE}",
    rf"{_NOT_RELATIVE}\bisnot (?:mentioned|specified|stated|addressed|documented|discussed)[ .!]*$",
    rf"\bdoesnot (?:appear|occur|show up) (?:anywhere )?{_IN_SOURCE}",
    rf"\bcannot be (?:answered|determined|found|inferred|established|concluded|confirmed|verified|located) "
    rf"(?:\w+ ){{0,2}}?{_IN_SOURCE}",
    rf"{_SOURCE} {_TREAT}\b.* (?:but|and) (?:doesnot|cannot) (?:{_TELL}|{_HOLD})\b",
    rf"^not {_TOLD} {_IN_SOURCE}",
    rf"\b(?:{_FACTS}|this|it) isnot {_IN_SOURCE}",
    rf"(?<!why )(?<!whether )(?<!if )(?<!when )\b(?:this|that|the|such) (?:\w+ )?{_FACTS} isnot {_TOLD}[ .!]*$",
    rf"\bisnot (?:something|a topic|a subject|anything) (?:that )?{_SOURCE}",
    rf"\b{_FACTS} (?:to|on|about|for|regarding) .*\bisnot {_IN_SOURCE}",
    # There is nothing about it.
    rf"(?:^|, )there (?:is|are|was|were) {_TOO_LITTLE} (?:\w+ ){{0,3}}?(?:{_FACTS}\b|{_IN_SOURCE})",
    rf"(?:^|, )there isnot (?:any |enough |sufficient |a |an )?(?:\w+ ){{0,3}}?(?:{_FACTS}\b|{_IN_SOURCE})",
    rf"(?:^|, ){_TOO_LITTLE} (?:\w+ ){{0,3}}?{_FACTS}\b(?:[ .!]*$|.*\b(?:{_TOLD}|to {_TO_DETERMINE}|{_IN_SOURCE}))",
    rf"(?:^|, )(?:nothing|nowhere) (?:\w+ ){{0,5}}?{_IN_SOURCE}",
    # I could not find it.
    rf"{_I}cannot {_FIND}\b",
    rf"{_I}cannot {_GIVE} (?:[\w'-]+ ){{0,5}}?(?:{_FACTS}|response|that|this)\b",
    rf"{_I}cannot (?:help|assist)(?: you)?(?: with|[ .!]*$)",
    rf"{_I}doesnot (?:know|see|find)\b",
    rf"{_I}doesnot (?:have|possess) (?:[\w'-]+ ){{0,5}}?{_KNOWLEDGE}\b",
    rf"{_I}{_HAVE_OR_FIND} {_TOO_LITTLE}(?: \w+){{0,3}}?(?: {_KNOWLEDGE}| {_FACTS}| {_IN_SOURCE})",
    rf"{_I}(?:lack|(?:must |have to |need to )?decline|isnot (?:sure|certain|aware))\b",
    r"(?:^|^(?:i|we) .*\b(?:but|and) )cannot (?:find|locate|answer|determine|identify)\b",
    # It is not clear.
    rf"\bit isnot (?:possible to {_TO_DETERMINE}|(?:clear|known|stated|specified|mentioned)\b.*{_IN_SOURCE})",
    rf"\bit is (?:impossible to {_TO_DETERMINE}|(?:unclear|unknown)\b.*{_IN_SOURCE})",
    rf"\b{_THE_QUESTION} (?:is|falls|goes) (?:outside|beyond|out of)\b",
    rf"\b{_THE_QUESTION} isnot (?:covered|addressed|answered|answerable|discussed|mentioned)\b",
)
_SHORT_REFUSAL = _any_of(
    r"(?:(?:i am )?sorry,? )?(?:i |we )?(?:doesnot know|cannot say|(?:have )?no idea|cannot answer)(?: that| this)?",
    r"unknown|n/a|none found|not found|no answer(?: found)?|not in the \w+",
    r"not (?:specified|mentioned|stated|available|provided|given|answerable|documented)",
    r"no (?:relevant )?(?:information|info|results|documents|answer)(?: (?:available|found|provided))?",
    r"(?:insufficient|not enough) (?:information|context|data|evidence)",
    r"(?:i|we) (?:found|have|can find|could find) nothing(?: (?:about|on) .*)?",
)
_ASK_ELSEWHERE = (
    r"(?:contact|check|consult|ask|reach|refer|look|see|visit|find|try|provide|share|verify|speak|get in touch|review|"
    r"search|turn|rephrase|clarify|specify)"
)
_ABOUT = (
    r"(?:mention|discuss|describe|cover|refer|focus|talk|deal|relate|concern|contain|include|provide|list|give|address|"
    r"outline|touch|explain|speak|point)(?:s|es|ed|ing)?"
)
_OFFER = r"(?:recommend|suggest|advise|happy|glad|help|encourage|need)"
_THEY = rf"(?:{_SOURCE}|{_POLICY}|it|they|these|this|those|what (?:they|it) (?:do|does))"
_FILLER_OPENING = r"(?:and |so |instead,? |rather,? |(?:for|to|in|if|based on|according to|as)\b[^,]*, |sorry,? )*"
_FILLER = _FILLER_OPENING + _any_of(
    r"(?:(?:i|we) am )?(?:sorry|afraid)\b",
    r"(?:i |my )?apolog",
    r"(?:i|we) (?:have )?(?:review|read|check|search|look|examin|went through)",
    r"(?:based on|according to|after (?:review|read|check|search))[^,]*$",
    r"(?:please|kindly|feel free|let me know|thank)\b",
    rf"(?:you|users?|employees|readers?)(?: \w+|'\w+ \w+|'\w+){{1,4}}? {_ASK_ELSEWHERE}\b",
    rf"{_ASK_ELSEWHERE}\b",
    rf"(?:i|we)(?:'d|'ll| would| can| could| will| am)? (?:\w+ )?{_OFFER}\b",
    r"it (?:would|may|might|is) (?:\w+ )?(?:be )?(?:best|better|helpful|advisable|worth|necessary|recommended)\b",
    r"if you\b",
    rf"{_THEY} (?:only|merely|just) \w+",
    rf"{_THEY} (?:(?:do|does|did|mainly|primarily|mostly|instead|rather|generally|are|is) )*(?:{_ABOUT}|about)\b",
)
