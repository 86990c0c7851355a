def test_handbook(ragcheck_result):
    ragcheck_result.assert_passed()


def test_the_index_can_be_searched(ragcheck_index):
    nearest = ragcheck_index.search("How late can I claim expenses?", top_k=1)[0]
    assert nearest.source == "docs/expenses.md"
