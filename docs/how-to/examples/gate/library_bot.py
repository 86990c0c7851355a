"""The system under test. It stands in for yours: it finds notices by shared words and answers with the best one."""

from __future__ import annotations

import re

NOTICES = {
    "opening.md": "The reading room opens at 9:00 on weekdays. On Saturdays it closes at 16:00.",
    "loans.md": "Books are lent for 28 days. A loan can be renewed twice.",
    "fees.md": "An overdue book costs 0.20 euros a day. The fee is never more than 10 euros.",
    "cards.md": "A library card is free for pupils. Adults pay 12 euros a year.",
    "rooms.md": "Group rooms seat six people. They can be booked a week ahead.",
    "printing.md": "A printed page costs 0.10 euros. Colour costs 0.40 euros.",
    "children.md": "Story time for children is on Wednesdays. It lasts an hour.",
    "returns.md": "Returned books go to the box at the entrance. It is emptied at night.",
}
COMMON = {"a", "an", "at", "be", "can", "do", "does", "for", "how", "is", "it", "of", "on", "the", "they", "to", "what"}


def search(question: str, count: int = 2) -> list[tuple[str, str]]:
    """Names and texts of the notices that share words with the question, best first."""
    shared = {name: len(_words(question) & _words(text)) for name, text in NOTICES.items()}
    found = [name for name in NOTICES if shared[name]]
    return [(name, NOTICES[name]) for name in sorted(found, key=lambda name: -shared[name])[:count]]


def write_answer(notices: list[str]) -> str:
    """An answer from notices."""
    return notices[0] if notices else "I could not find that in the notices."


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+", text.lower())) - COMMON
