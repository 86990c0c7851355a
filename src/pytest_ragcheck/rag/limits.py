"""Sizes that the configuration names, apart from the rooms that would have to be imported for them."""

__all__ = ["EXACT_UP_TO"]

EXACT_UP_TO = 200_000
"""Chunks; at 384 dimensions an exact search among so many takes some hundredths of a second."""
