def test_capitals(ragcheck_result):
    ragcheck_result.assert_passed()
