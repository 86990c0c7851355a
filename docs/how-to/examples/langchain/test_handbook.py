def test_handbook(ragcheck_result):
    ragcheck_result.assert_passed()


def test_answers_are_short(ragcheck_answer):
    assert len(ragcheck_answer.text.split()) <= 60


def test_every_context_says_where_it_is_from(ragcheck_answer):
    assert all(context.source for context in ragcheck_answer.contexts)
