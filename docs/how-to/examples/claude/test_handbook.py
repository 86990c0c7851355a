def test_handbook(ragcheck_result):
    ragcheck_result.assert_passed()
