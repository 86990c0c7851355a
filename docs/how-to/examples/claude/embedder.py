"""Word vectors without a model: each word adds to one of 512 places."""

import re
from zlib import crc32

import numpy as np

SIZE = 512


class WordEmbedder:
    fingerprint = f"words, {SIZE} places"  # change it whenever the vectors change

    def load(self):
        """Nothing to load here; a real one reads its weights."""

    def embed(self, texts):
        rows = np.zeros((len(texts), SIZE), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [""]:
                row[crc32(word.encode()) % SIZE] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
