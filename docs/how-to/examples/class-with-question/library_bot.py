from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytest_ragcheck import Answer, Context, Question

if TYPE_CHECKING:
    from pathlib import Path

COMMON = {"a", "an", "be", "can", "is", "the", "there"}


class LibraryBot:
    """Answers from text files: the files that share words with the question, the best sentence of the first."""

    def __init__(self, folder: Path) -> None:
        self.notices = {f"notices/{path.name}": path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}

    async def __call__(self, question: Question) -> Answer:
        words = _words(question.question)
        branch = next((tag for tag in question.tags if tag in {"main", "harbour"}), "main")
        candidates = {source: text for source, text in self.notices.items() if branch in source}
        found = sorted(
            (source for source in candidates if words & _words(candidates[source])),
            key=lambda source: -len(words & _words(candidates[source])),
        )
        contexts = tuple(
            Context(text=candidates[source], rank=rank, source=source, start=0, end=len(candidates[source]))
            for rank, source in enumerate(found, start=1)
        )
        if not contexts:
            return Answer(text="There is no notice about that.", refused=True)
        sentences = re.split(r"(?<=[.])\s+", contexts[0].text.strip())
        text = max(sentences, key=lambda sentence: len(words & _words(sentence)))
        return Answer(text=text, contexts=contexts, model="library-bot 1", refused=False)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower())) - COMMON
