"""One test item for each question of questions.yaml; ragcheck.toml says what must hold."""


def test_handbook(ragcheck_result):
    ragcheck_result.assert_passed()
