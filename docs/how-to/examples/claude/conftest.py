"""``pytest --ragcheck --rehearse``: answers from a Messages API on this machine, without a key and without a bill."""

import os

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi


def pytest_addoption(parser):
    parser.addoption("--rehearse", action="store_true")


def pytest_configure(config):
    if config.getoption("--rehearse"):
        api = MessagesApi(Behaviour(latency=0.2, faults={"overloaded": 0.1}))
        config.add_cleanup(api.close)
        os.environ |= {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "any"}
