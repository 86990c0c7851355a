"""An embedder that costs nothing."""

import zlib

import numpy as np


class Embedder:
    """Words to places in a vector: cheap, the same everywhere."""

    fingerprint = "words 1"

    def load(self):
        pass

    def embed(self, texts):
        rows = np.zeros((len(texts), 64), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[0] = 0.1
            for word in text.lower().split():
                row[1 + zlib.crc32(word.encode()) % 63] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
