"""The old script's retrieval, unchanged. (A word search stands here for the vector store.)"""

PAGES = [
    "Staff have 25 days of annual leave a year.",
    "Up to five days of leave can be carried over into the next year.",
    "Meals on business trips are paid up to 40 euros a day.",
]


def retrieve(question, top_k=2):
    words = set(question.lower().strip("?").split())
    return sorted(PAGES, key=lambda page: -len(words & set(page.lower().strip(".").split())))[:top_k]
