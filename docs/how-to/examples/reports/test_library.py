def test_library(ragcheck_pipeline, ragcheck_result):
    ragcheck_result.assert_passed()
