def test_row(ragcheck_result):
    ragcheck_result.assert_passed()
