"""What a command line may say of a number: pytest's options and our commands read it alike."""

from __future__ import annotations

import argparse

__all__ = ["dollars", "positive"]


def positive(text: str) -> int:
    """A whole number from 1; ArgumentTypeError for anything else."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return number


def dollars(text: str) -> float:
    """A finite amount of at least 0; ArgumentTypeError for anything else."""
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < float("inf"):
        raise argparse.ArgumentTypeError(f"expected an amount in US dollars, got {text!r}")
    return amount
