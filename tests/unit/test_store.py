from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.store import Store, digest, process_identity, state_folder
from pytest_ragcheck.store.file import BUSY_TIMEOUT
from pytest_ragcheck.store.store import TOUCH_INTERVAL

KEYS = [digest("key", str(number)) for number in range(1_200)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache.sqlite"


def test_digest_depends_on_where_one_part_ends_and_the_next_begins():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a", b"b") == digest(b"a", "b")


def test_digest_takes_text_that_is_no_unicode():
    assert digest("\ud800") != digest("\ud801")


def test_values_outlive_the_store_object(path):
    with Store(path) as store:
        store.put_many("embedding", {key: key[:4] for key in KEYS})
    with Store(path) as store:
        assert store.get_many("embedding", [*KEYS, digest("absent")]) == {key: key[:4] for key in KEYS}
        assert store.get("other kind", KEYS[0]) is None


def test_a_later_value_replaces_an_earlier_one(path):
    with Store(path) as store:
        store.put("reply", KEYS[0], b"old")
        store.put("reply", KEYS[0], b"new")
        assert store.get("reply", KEYS[0]) == b"new"


def test_since_hides_what_is_older(path):
    with Store(path) as store:
        before = time.time()
        store.put("reply", KEYS[0], b"value")
        assert store.get("reply", KEYS[0], since=before) == b"value"
        assert store.get("reply", KEYS[0], since=time.time() + 1) is None


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store(None) as store:
        store.put("reply", KEYS[0], b"value")
        assert store.get("reply", KEYS[0]) == b"value"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"not a database at all, whatever its name says" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_damaged_file_is_set_aside_and_told(path, content):
    path.write_bytes(content)
    with Store(path) as store:
        (notice,) = store.notices
        store.put("reply", KEYS[0], b"value")
    (aside,) = path.parent.glob("cache.sqlite.damaged-*[0-9]")
    assert aside.read_bytes() == content
    assert aside.name in notice
    with Store(path) as store:
        assert store.notices == []
        assert store.get("reply", KEYS[0]) == b"value"


def test_somebody_elses_database_is_left_as_it_is(path):
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE entries (mine TEXT)")
        theirs.execute("INSERT INTO entries VALUES ('precious')")
        theirs.commit()
    with Store(path) as store:
        assert "another program" in store.notices[0]
    (aside,) = path.parent.glob("cache.sqlite.damaged-*[0-9]")
    with closing(sqlite3.connect(aside)) as theirs:
        assert theirs.execute("SELECT mine FROM entries").fetchall() == [("precious",)]


def test_a_store_of_another_version_is_set_aside(path):
    Store(path).close()
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 99")
    with Store(path) as store:
        assert "version is 99" in store.notices[0]


def test_damage_found_while_reading_starts_a_new_file(path):
    with Store(path) as store:
        store.put_many("reply", {key: bytes(2_000) for key in KEYS})
    data = bytearray(path.read_bytes())
    for start in range(8_192, len(data), 4_096):
        data[start : start + 16] = b"\xff" * 16
    path.write_bytes(data)
    with Store(path) as store:
        assert store.get_many("reply", KEYS) == {}
        assert "set aside" in store.notices[0]
        store.put("reply", KEYS[0], b"value")
        assert store.get("reply", KEYS[0]) == b"value"
    assert list(path.parent.glob("cache.sqlite.damaged-*[0-9]"))


def test_a_damaged_file_that_another_process_uses_is_not_moved(path, monkeypatch):
    monkeypatch.setattr("pytest_ragcheck.store.file._EXCLUSIVE_WAIT", 0.1)
    with Store(path) as other:
        other.put("reply", KEYS[0], b"theirs")
        with closing(sqlite3.connect(path)) as damage:
            damage.execute("PRAGMA user_version = 99")
        with Store(path) as store:
            assert "another process uses the file" in store.notices[0]
            store.put("reply", KEYS[1], b"mine")
            assert store.get("reply", KEYS[1]) == b"mine"
        assert not list(path.parent.glob("*.damaged-*"))
        assert other.get("reply", KEYS[0]) == b"theirs"


def test_many_openers_of_a_damaged_file_agree_on_one_new_one(path):
    path.write_bytes(b"x" * 10_000)
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(Store(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list(path.parent.glob("cache.sqlite.damaged-*[0-9]"))) == 1
    for number, store in enumerate(stores):
        store.put("reply", KEYS[number], b"value")
    assert len(stores[0].get_many("reply", KEYS)) == len(stores) == 8
    for store in stores:
        store.close()


def test_a_place_that_cannot_be_written_is_a_configuration_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cache off"):
        Store(tmp_path / "file" / "cache.sqlite")


def test_one_claim_at_a_time(path):
    mine, theirs = f"{process_identity()}|a", f"{process_identity()}|b"
    with Store(path) as store, Store(path) as other:
        assert store.claim("reply", KEYS[0], owner=mine, seconds=30)
        assert not other.claim("reply", KEYS[0], owner=theirs, seconds=30)
        store.release("reply", KEYS[0], owner=mine)
        assert other.claim("reply", KEYS[0], owner=theirs, seconds=30)
        store.release("reply", KEYS[0], owner=mine)
        assert not store.claim("reply", KEYS[0], owner=mine, seconds=30), "a release ends one's own claims alone"
        other.put("reply", KEYS[0], b"value")
        assert store.claim("reply", KEYS[0], owner=mine, seconds=30), "a value ends the claim"


def test_several_are_claimed_in_one_step_but_not_what_others_hold(path):
    mine, theirs = f"{process_identity()}|mine", f"{process_identity()}|theirs"
    keys = [digest(str(number)) for number in range(6)]
    with Store(path) as store, Store(path) as other:
        assert other.claim_many("result", keys[1:3], owner=theirs, seconds=30, most=5) == keys[1:3]
        assert store.claim_many("result", keys, owner=mine, seconds=30, most=3) == [keys[0], keys[3], keys[4]]
        assert other.claim_many("result", keys, owner=theirs, seconds=30, most=9) == [keys[1], keys[2], keys[5]]
        assert store.claim_many("result", [keys[5]], owner=mine, seconds=30, most=9) == []


def test_claims_expire_unless_renewed(path):
    mine, theirs = f"{process_identity()}|a", f"{process_identity()}|b"
    with Store(path) as store:
        store.claim("reply", KEYS[0], owner=mine, seconds=-1)
        store.renew(owner=mine, seconds=30)
        assert not store.claim("reply", KEYS[0], owner=theirs, seconds=30)
        store.renew(owner=mine, seconds=-1)
        assert store.claim("reply", KEYS[0], owner=theirs, seconds=30)


def test_the_claim_of_a_killed_process_counts_for_nothing(path):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from pytest_ragcheck.store import Store, digest, process_identity\n"
        "store = Store(Path(sys.argv[1]))\n"
        "print(store.claim('reply', digest('x'), owner=process_identity() + '|t', seconds=600), flush=True)\n"
        "time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "True\n"
    with Store(path) as store:
        owner = f"{process_identity()}|t"
        assert not store.claim("reply", digest("x"), owner=owner, seconds=600)
        os.kill(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + 120
        while not store.claim("reply", digest("x"), owner=owner, seconds=600):  # before anybody reaps the child
            assert time.monotonic() < deadline
    child.communicate()


def test_the_claim_of_another_machine_stands_until_it_expires(path):
    with Store(path) as store:
        store.claim("reply", KEYS[0], owner="elsewhere|1|5|t", seconds=600)
        assert not store.claim("reply", KEYS[0], owner=f"{process_identity()}|t", seconds=600)
        store.renew(owner="elsewhere|1|5|t", seconds=-1)
        assert store.claim("reply", KEYS[0], owner=f"{process_identity()}|t", seconds=600)


def test_kill_between_writes_loses_nothing_that_was_put(path):
    script = (
        "import sys; from pathlib import Path; from pytest_ragcheck.store import Store, digest\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for number in range(1_000_000):\n"
        "    store.put('reply', digest(str(number)), str(number).encode()); print(number, flush=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True)
    for line in child.stdout:
        if int(line) >= 300:
            child.kill()
            break
    told = 300 + len(child.communicate()[0].splitlines())
    with Store(path) as store:
        assert store.notices == []
        kept = store.get_many("reply", [digest(str(number)) for number in range(told + 1)])
    assert len(kept) >= told


def test_size_prune_and_clear(path):
    with Store(path) as store:
        store.put("reply", KEYS[0], b"12345")
        store.put_many("embedding", {KEYS[1]: b"1", KEYS[2]: b"22"})
        size = store.size()
        assert size.entries == {"embedding": 2, "reply": 1}
        assert size.value_bytes == {"embedding": 3, "reply": 5}
        assert size.file_bytes > 0
        age(path, 10 * TOUCH_INTERVAL)
        store.put("reply", KEYS[3], b"new")
        store.get("reply", KEYS[0])
        assert store.prune(older_than=5 * TOUCH_INTERVAL) == 2, "what was used lately stays"
        assert store.get("reply", KEYS[0]) == b"12345"
        assert store.clear() == 2
        assert store.size().entries == {}


def test_waits_for_another_process_that_writes(path):
    assert BUSY_TIMEOUT >= 10
    with Store(path) as store, closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, lambda: other.execute("COMMIT")).start()
        store.put("reply", KEYS[0], b"value")
        assert store.get("reply", KEYS[0]) == b"value"


def test_waits_for_another_process_that_makes_the_file(path):
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.2, lambda: other.execute("ROLLBACK")).start()
        with Store(path) as store:
            store.put("reply", KEYS[0], b"value")


@pytest.mark.parametrize("forgiving", [True, False])
def test_a_full_disk(path, forgiving):
    with Store(path, forgiving=forgiving) as store:
        store.put("reply", KEYS[0], b"kept")
        age(path, 3 * 86_400)  # reading notes that it was used, which needs room too
        store._connection.execute("PRAGMA max_page_count = 1")
        if not forgiving:
            with pytest.raises(sqlite3.OperationalError, match="full"):
                store.put("reply", KEYS[1], bytes(100_000))
            return
        for key in KEYS[1:3]:
            store.put("reply", key, bytes(100_000))
            assert store.get("reply", key) is None
        assert store.claim("reply", KEYS[1], owner="one|1", seconds=60)
        store.release("reply", KEYS[1], owner="one|1")
        assert store.get("reply", KEYS[0]) == b"kept"
        (notice,) = store.notices
    assert "full; what cannot be written to it is not kept" in notice


def test_state_folder_ignores_itself(tmp_path):
    assert state_folder(tmp_path) == state_folder(tmp_path) == tmp_path / ".ragcheck"
    assert (tmp_path / ".ragcheck" / ".gitignore").read_text() == "*\n"


KILLED = """
import os, signal, sys
from pathlib import Path
from pytest_ragcheck.store import state_folder

def kill_at_write(_frame, event, called):
    if event == "c_call" and called.__name__ in {"write", "writelines"}:
        os.kill(os.getpid(), signal.SIGKILL)

sys.setprofile(kill_at_write)
state_folder(Path(sys.argv[1]))
"""


def test_a_kill_leaves_no_state_folder_that_ignores_nothing(tmp_path):
    """An empty ``.gitignore`` would be left alone, and the store be committed."""
    assert subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False).returncode < 0
    folder = state_folder(tmp_path)
    assert (folder / ".gitignore").read_text() == "*\n"
    assert list(folder.iterdir()) == [folder / ".gitignore"]


@pytest.mark.parametrize("created", ["'yesterday'", "X'00'", "9e99", "CAST(strftime('%s', 'now') + 7200 AS REAL)"])
def test_a_value_whose_time_is_damaged_or_to_come_is_not_new(path, created):
    with Store(path) as store:
        store.put("reply", KEYS[0], b"old")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE entries SET created = {created}")  # noqa: S608
        began = time.time()
        assert store.get("reply", KEYS[0], since=began) is None
        assert store.get("reply", KEYS[0]) == b"old"
        store.put("reply", KEYS[0], b"new")
        assert store.get("reply", KEYS[0], since=began) == b"new"


@pytest.mark.parametrize("damage", ["value = 'a text'", "created = -1.0", "created = 'then', used = 'then'"])
def test_a_value_is_put_where_the_one_that_was_there_is_damaged(path, damage):
    with Store(path) as store:
        store.put("share", KEYS[0], b"old")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE entries SET {damage}")  # noqa: S608
        kept = store.put_if_new("share", KEYS[0], b"new")
        assert kept == store.get("share", KEYS[0])
        assert kept == (b"new" if "value" in damage else b"old")


def age(path, seconds):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE entries SET used = used - ?, created = created - ?", (seconds, seconds))
        connection.commit()
