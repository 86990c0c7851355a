"""Python and the packages: their versions against what this package asks for, and whether they can be imported."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.doctor.findings import Finding, failed, fine, skipped
from pytest_ragcheck.commands.doctor.processes import import_trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packaging.requirements import Requirement

    from pytest_ragcheck.commands.doctor.patient import Patient

__all__ = ["check_imports", "check_packages", "check_python"]

OURS = "pytest-ragcheck"
_ALL = "all"
_NEEDED_FOR = {
    "rag": "documents, index and embedder (not by a pipeline of your own)",
    "sentence-transformers": "embedding models other than the default one",
    "deepeval": "judged metrics",
    "aiohttp": "faster model calls",
    "ray": "answering on a cluster (--ragcheck-engine ray)",
}
_MODULES = {"pyyaml": "yaml"}
"""Where the module is not called like the package."""


def check_python(_patient: Patient) -> Iterator[Finding]:
    """Python itself."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    wanted = "".join(metadata.metadata(OURS).get_all("Requires-Python") or ())
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield fine("python", f"{version} ({sys.executable})")
    else:
        yield failed("python", f"{version}, needed is {wanted}", "make the environment with a newer Python")


def check_packages(_patient: Patient) -> Iterator[Finding]:
    """The packages' versions, of an extra only where any of it is installed."""
    core = [requirement for requirement in _requirements() if requirement.marker is None]
    yield from _judged("packages", core)
    for extra in metadata.metadata(OURS).get_all("Provides-Extra") or ():
        if extra == _ALL:
            continue
        requirements = [one for one in _requirements() if one.marker and one.marker.evaluate({"extra": extra})]
        if any(_version(requirement.name) for requirement in requirements):
            yield from _judged(f"packages [{extra}]", requirements)
        else:
            needed = f"not installed; needed for {_NEEDED_FOR.get(extra, 'its features')}"
            yield skipped(f"packages [{extra}]", needed, f'python -m pip install "{OURS}[{extra}]"')


def check_imports(patient: Patient) -> Iterator[Finding]:
    """Whether the core's packages can be imported, in a process of its own."""
    modules = [_module(requirement.name) for requirement in _requirements() if requirement.marker is None]
    known = [name for name in modules if _has_distribution_of(name)]
    trouble = import_trouble(known, patient.folder)
    if trouble is None:
        yield fine("imports", ", ".join(known))
    else:
        remedy = "install it anew, and look for a file of this name in the current folder"
        yield failed("imports", trouble, remedy)


def _requirements() -> list[Requirement]:
    from packaging.requirements import Requirement

    return [Requirement(text) for text in metadata.requires(OURS) or ()]


def _judged(name: str, requirements: Sequence[Requirement]) -> Iterator[Finding]:
    bad = list(filter(None, map(_fault, requirements)))
    for requirement, text in bad:
        wanted = f"{requirement.name}{requirement.specifier}"
        yield failed(name, text, f'python -m pip install "{wanted}"')
    if not bad:
        yield fine(name, ", ".join(f"{one.name} {_version(one.name)}" for one in requirements))


def _fault(requirement: Requirement) -> tuple[Requirement, str] | None:
    version = _version(requirement.name)
    if version is None:
        return requirement, f"{requirement.name} is not installed"
    if not requirement.specifier.contains(version, prereleases=True):
        return requirement, f"{requirement.name} {version} does not fit, needed is {requirement.specifier}"
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _module(distribution: str) -> str:
    name = distribution.lower().replace("-", "_")
    return _MODULES.get(name, name)


def _has_distribution_of(module: str) -> bool:
    return any(_module(one.name) == module and _version(one.name) is not None for one in _requirements())
