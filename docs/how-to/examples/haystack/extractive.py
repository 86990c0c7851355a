"""In a language model's place: the sentence of a prompt that has most words of the question."""

import re


def best_sentence(prompt: str) -> str:
    passages, _, question = prompt.rpartition("Question:")
    wanted = set(_words(question))
    sentences = re.split(r"(?<=[.!?])\s+|\n+", passages.replace("|", " "))
    return max(sentences, key=lambda sentence: len(wanted & set(_words(sentence)))).strip(" -#")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
