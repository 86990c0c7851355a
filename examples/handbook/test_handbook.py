"""Every question of questions.yaml is one test item."""


def test_handbook(ragcheck_result):
    ragcheck_result.assert_passed()
