"""The example projects below are run by tests/docs, each in a folder of its own; here they are no tests."""

collect_ignore_glob = ["how-to/examples/*"]
