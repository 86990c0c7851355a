"""What pyproject.toml says and what is tested must be the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def lower_bounds():
    extras = PROJECT["optional-dependencies"]
    declared = [*PROJECT["dependencies"], *extras["rag"], *extras["sentence-transformers"]]
    return dict(re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement).groups() for requirement in declared)


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


@pytest.mark.parametrize(("name", "bound"), lower_bounds().items())
def test_the_lowest_environment_has_just_the_lower_bounds(name, bound):
    assert pins("constraints-lowest.txt")[name] == bound


@pytest.mark.parametrize("name", lower_bounds())
def test_every_dependency_is_pinned_in_the_constraints(name):
    assert name.lower() in pins("constraints.txt")


def test_the_version_is_told_once_more_in_the_package():
    import pytest_ragcheck

    assert pytest_ragcheck.__version__ == PROJECT["version"]


def test_every_change_has_its_place_in_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert "## Unreleased" in changelog or f"## {PROJECT['version']}" in changelog
