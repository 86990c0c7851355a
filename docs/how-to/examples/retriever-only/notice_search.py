NOTICES = {
    "hours.txt": "The library is open from 9:00 to 20:00. It is closed on Sundays.",
    "loans.txt": "An overdue book costs 0.20 euros a day. A loan can be renewed twice.",
    "printing.txt": "A printed page costs 0.10 euros.",
}


class NoticeSearch:
    def search(self, question):
        words = set(question.lower().strip("?").split())
        found = sorted(NOTICES, key=lambda name: -len(words & set(NOTICES[name].lower().split())))
        return [{"text": NOTICES[name], "source": name} for name in found[:2]]
