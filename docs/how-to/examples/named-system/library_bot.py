NOTICES = ["The library is open from 9:00 to 20:00.", "An overdue book costs 0.20 euros a day."]


class LibraryBot:
    async def __call__(self, question):
        words = set(question.lower().strip("?").split())
        notice = max(NOTICES, key=lambda text: len(words & set(text.lower().split())))
        return {"answer": notice, "contexts": [notice]}
