NOTICES = {
    "books": "An overdue book costs 0.20 euros a day.",
    "films": "An overdue film costs 1 euro a day.",
}


def answer(question, history):
    asked = " ".join([message["content"] for message in history] + [question]).lower()
    notices = [text for topic, text in NOTICES.items() if topic in asked]
    return notices[-1], notices
