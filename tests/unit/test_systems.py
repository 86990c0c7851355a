"""The object that the configuration names as a system."""

from __future__ import annotations

import sys

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.systems import (
    check_environment,
    is_endpoint,
    is_named_object,
    is_own_system,
    make_endpoint,
    own_system,
)

MODULE = """
class Broken:
    def __init__(self):
        raise OSError("no such table\\nand more")

async def make_later():
    return print

number = 7
"""


@pytest.fixture
def settings(tmp_path, request):
    def load(**lines):
        text = "".join(f"{key} = {value!r}\n" for key, value in lines.items())
        (tmp_path / "ragcheck.toml").write_text(text, encoding="utf-8")
        from pytest_ragcheck.session.config_file import find_configuration

        find_configuration.cache_clear()
        return load_settings(tmp_path, invocation=tmp_path)

    return load


@pytest.mark.parametrize(
    ("generator", "kind"),
    [
        ("extractive", None),
        ("none", None),
        ("anthropic:claude-haiku-5-5", None),
        ("anthropic:model", None),
        ("app.rag:ask", is_named_object),
        ("app.rag:bot.ask", is_named_object),
        ("http://127.0.0.1:8000/ask", is_endpoint),
        ("https://rag.example/ask", is_endpoint),
    ],
)
def test_kinds_of_generators(settings, generator, kind):
    loaded = settings(generator=generator)

    assert is_own_system(loaded) == (kind is not None)
    assert [check for check in (is_named_object, is_endpoint) if check(loaded)] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("missing", "module 'named_system' has no 'missing'"),
        ("number", "the system under test must be a callable that takes a question, or have a method invoke, query"),
        ("make_later", "takes no question; make it a function without async that returns the system"),
        ("Broken", "cannot be made: OSError: no such table"),
    ],
)
def test_objects_that_cannot_answer(settings, tmp_path, monkeypatch, name, told):
    monkeypatch.delitem(sys.modules, "named_system", raising=False)
    (tmp_path / "named_system.py").write_text(MODULE, encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        own_system(settings(generator=f"named_system:{name}"), at_once=None, requests_per_minute=None)

    assert f"generator = 'named_system:{name}'" in str(caught.value)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_breaks(settings, tmp_path):
    (tmp_path / "breaking_system.py").write_text("1 / 0\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="cannot be imported: ZeroDivisionError: division by zero"):
        own_system(settings(generator="breaking_system:ask"), at_once=None, requests_per_minute=None)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            {"answers": "a.jsonl", "generator": "extractive"},
            "ragcheck.toml:1: answers are recorded, and generator makes",
        ),
        ({"endpoint": 7}, "ragcheck.toml:1: endpoint: "),
        ({"fingerprint": []}, "ragcheck.toml:1: fingerprint is empty; leave it out, or say what tells versions apart"),
        ({"fingerprint": ""}, "ragcheck.toml:1: fingerprint is empty"),
        ({"fingerprint": 3}, "ragcheck.toml:1: fingerprint"),
    ],
)
def test_configurations_that_cannot_be(settings, lines, told):
    with pytest.raises(ConfigurationError) as caught:
        settings(**lines)

    assert told in str(caught.value)


def test_a_table_for_an_address_without_one(settings, tmp_path):
    (tmp_path / "ragcheck.toml").write_text('[endpoint]\nanswer = "a"\n', encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"ragcheck\.toml:1: \[endpoint\] is for an address; set generator"):
        load_settings(tmp_path, invocation=tmp_path)


def test_the_endpoint_says_which_key_is_wrong(settings, tmp_path):
    text = 'generator = "http://127.0.0.1:1"\n[endpoint]\nanswer = "a..b"\n'
    (tmp_path / "ragcheck.toml").write_text(text, encoding="utf-8")

    with pytest.raises(ConfigurationError, match=r"ragcheck\.toml: endpoint\.answer: 'a\.\.b' is no path"):
        make_endpoint(load_settings(tmp_path, invocation=tmp_path))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'generator = "http://127.0.0.1:1"\n[endpoint]\nanwser = "a"\n',
            ":3: unknown key 'endpoint.anwser'; did you mean",
        ),
        ('generator = "http://user:pass@127.0.0.1"\n', ": generator: the address holds a password; take it out"),
    ],
)
def test_what_else_can_be_wrong_with_an_address(tmp_path, text, told):
    (tmp_path / "ragcheck.toml").write_text(text, encoding="utf-8")

    def check():
        settings = load_settings(tmp_path, invocation=tmp_path)
        check_environment(make_endpoint(settings), settings)

    with pytest.raises(ConfigurationError) as caught:
        check()

    assert f"ragcheck.toml{told}" in str(caught.value)
