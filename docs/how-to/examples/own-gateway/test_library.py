def test_library(ragcheck_result):
    ragcheck_result.assert_passed()
