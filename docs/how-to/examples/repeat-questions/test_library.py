def test_library(ragcheck_result):
    ragcheck_result.assert_passed()
    for trial in ragcheck_result.trials:  # each repetition by itself; empty where the question was asked once
        assert "euros" not in trial.answer.text or "0.20" in trial.answer.text
