from __future__ import annotations

import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.commands.doctor.findings import failed, fine
from pytest_ragcheck.commands.doctor.processes import death, last_words
from pytest_ragcheck.session.config_file import find_configuration
from pytest_ragcheck.store import Store, digest
from pytest_ragcheck.store.file import APPLICATION_ID
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    find_configuration.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))  # where the SDK keeps profiles
    for name in (*KEYS, "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def doctor(folder, capsys):
    """Runs it in the folder; the lines that it printed, without the last."""

    def run(*arguments, code=0):
        assert main(["doctor", *arguments]) == code
        return capsys.readouterr().out.splitlines()[:-1]

    return run


def set_up(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(f"ANTHROPIC_{name}", value)


ASKING = 'generator = "anthropic:claude-haiku-5-5"\njudge = "anthropic:claude-sonnet-5-5"\n'


def test_a_missing_key_matters_where_a_model_is_asked(doctor, folder):
    pytest.importorskip("anthropic")
    assert doctor("--only", "key,api") == [
        "skipped  key: none is set, and the configuration asks no model",
        "skipped  api: no key",
    ]
    (folder / "ragcheck.toml").write_text(ASKING)
    find_configuration.cache_clear()
    key, api = doctor("--only", "key,api", code=1)
    assert key.startswith("FAILED   key: no API key for https://api.anthropic.com: set ANTHROPIC_API_KEY")
    assert api == "skipped  api: no key"


def test_each_model_answers_a_short_call(doctor, folder, monkeypatch):
    (folder / "ragcheck.toml").write_text(ASKING)
    with MessagesApi(Behaviour(api_key="the-right-one", stop_reasons={"max_tokens": 0.5})) as api:
        set_up(monkeypatch, BASE_URL=api.url, API_KEY="the-right-one")
        lines = doctor("--only", "key,api")
        requests = [exchange for exchange in api.stats.log if exchange.path == "/v1/messages"]

    assert lines[0] == f"ok       key: there is one, for {api.url}"
    assert [line.startswith(f"ok       api: {api.url} answered in 0.") for line in lines[1:]] == [True, True]
    assert ["as claude-haiku-5-5, for $0.0000" in lines[1], "as claude-sonnet-5-5, for $0.000" in lines[2]] == [
        True,
        True,
    ]
    assert [exchange.model for exchange in requests] == ["claude-haiku-5-5", "claude-sonnet-5-5"]


def test_offline_calls_nothing(doctor, monkeypatch):
    with MessagesApi() as api:
        set_up(monkeypatch, BASE_URL=api.url, API_KEY="any")
        assert doctor("--offline", "--only", "api") == ["skipped  api: --offline"]
        assert api.stats.requests == 0


def test_an_api_that_cannot_be_reached_is_found(doctor, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        set_up(monkeypatch, BASE_URL=f"http://127.0.0.1:{taken.getsockname()[1]}", API_KEY="any")
        [line] = doctor("--only", "api", code=1)

    assert line.startswith("FAILED   api: http://127.0.0.1:")
    assert "the connection failed (" in line
    assert line.endswith("; check the network, the proxy and ANTHROPIC_BASE_URL")


def test_a_refused_key_is_found_and_never_shown(doctor, monkeypatch):
    with MessagesApi(Behaviour(api_key="the-right-one")) as api:
        set_up(monkeypatch, BASE_URL=api.url, API_KEY="sk-ant-wrong-0123456789")
        lines = doctor("--only", "key,api", code=1)

    assert lines[1].startswith(f"FAILED   api: {api.url} refused the API key (")
    assert "0123456789" not in "".join(lines)


def test_a_failing_server_is_told_as_it_says(doctor, monkeypatch):
    with MessagesApi(Behaviour(faults={"overloaded": 1.0})) as api:
        set_up(monkeypatch, BASE_URL=api.url, API_KEY="any")
        [line] = doctor("--only", "api", code=1)

    assert "Overloaded" in line
    assert re.search(r"gave up after \d+ attempts in \d", line)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('questions = "q.yaml"\n', "q.yaml: no such file; check the path of the question file"),
        ('documents = ["*.md"]\n', "ragcheck.toml: documents: '*.md' matches no document below"),
        ('judge = "gpt"\n', "ragcheck.toml:1: judge = 'gpt' is not known; use"),
        ("top_k = \n", "ragcheck.toml:1: not valid TOML: Invalid value"),
        ("[metrics]\nrecall = 80\n", "ragcheck.toml:2: metrics.recall: a least value is a number from 0 to 1, got 80"),
    ],
)
def test_what_is_wrong_with_a_configuration_is_told_as_in_a_run(doctor, folder, text, told):
    (folder / "ragcheck.toml").write_text(text)
    [line] = doctor("--only", "configuration", code=1)

    assert line.startswith(f"FAILED   configuration: {told}")


def test_a_bad_configuration_is_found_once(doctor, folder):
    (folder / "ragcheck.toml").write_text("top_k = 5\nquestion = 'q.yaml'\n")
    configuration, store, models = doctor("--only", "configuration,store,models", code=1)

    assert configuration == "FAILED   configuration: ragcheck.toml:2: unknown key 'question'; did you mean 'questions'?"
    assert store == "ok       store: .ragcheck can be written; nothing is kept there yet"
    assert models == "skipped  embedder: the configuration is not valid"


def test_a_damaged_store_is_found_and_left_alone(doctor, folder):
    path = folder / ".ragcheck" / "cache.sqlite"
    with Store(path) as store:
        store.put_many("embedding", {digest(str(n)): bytes(4000) for n in range(50)})
    [line] = doctor("--only", "store")
    assert line.startswith("ok       store: .ragcheck/cache.sqlite, 50 entries, 0.3 MB")

    content = bytearray(path.read_bytes())
    content[8192:40960] = b"x" * 32768
    path.write_bytes(content)
    [line] = doctor("--only", "store", code=1)
    assert line.startswith("FAILED   store: .ragcheck/cache.sqlite, 0.3 MB, is damaged (")
    assert "; move it away: " in line
    assert path.read_bytes() == bytes(content)

    path.write_bytes(b"not a database at all, but long enough to be read as one" * 20)
    [line] = doctor("--only", "store", code=1)
    assert "is damaged (file is not a database); move it away" in line


def test_another_programs_database_is_found(doctor, folder):
    (folder / ".ragcheck").mkdir()
    with closing(sqlite3.connect(folder / ".ragcheck" / "cache.sqlite")) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID + 1}")
    [line] = doctor("--only", "store", code=1)

    assert "is another program's database; move it away" in line


@pytest.mark.skipif(not Path("/proc/self/fdinfo").is_dir(), reason="needs a folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_found(doctor, folder):
    (folder / ".ragcheck").symlink_to("/proc/self/fdinfo")
    [line] = doctor("--only", "store", code=1)

    assert line.startswith("FAILED   store: .ragcheck cannot be written (")
    assert line.endswith("or run with --ragcheck-cache off")


def test_without_a_configuration_init_is_named(doctor):
    [line] = doctor("--only", "configuration")

    assert line.endswith("neither here nor in a folder above; python -m pytest_ragcheck init writes one")


def test_a_check_that_breaks_is_a_finding(folder):
    from pytest_ragcheck.commands.doctor import _made

    def check(patient):
        yield fine("one", "works")
        raise OSError("the disk\nis gone")

    assert list(_made("disk", check, None)) == [
        fine("one", "works"),
        failed("disk", "could not be checked (OSError: the disk is gone)", "look at what the lines above say"),
    ]


def test_verdicts_are_painted_where_there_are_colours(doctor, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    [line] = doctor("--only", "store")

    assert line.startswith("\x1b[32mok       \x1b[0mstore: ")


def test_unknown_checks_are_refused(folder, capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--only", "python,keys"])
    assert "unknown check 'keys'; known: python, packages" in capsys.readouterr().err


def test_the_end_of_a_process_in_words():
    assert [death(3), death(-11), death(-99)] == ["ended with exit code 3", "crashed (SIGSEGV)", "crashed (signal 99)"]
    assert last_words("a\nOMP: Error #15: x\nb\n\n") == "OMP: Error #15: x"
    assert last_words("a\nb\n\n") == "b"
    assert last_words("") == ""
