def test_library(ragcheck_result):
    ragcheck_result.assert_passed()


def test_answers_are_short(ragcheck_answer):
    assert len(ragcheck_answer.text.split()) <= 20
