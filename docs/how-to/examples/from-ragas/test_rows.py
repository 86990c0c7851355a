def test_rows(ragcheck_result):
    ragcheck_result.assert_passed()
