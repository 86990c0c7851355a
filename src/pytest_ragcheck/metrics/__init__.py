"""Measures of one answer: 0 to 1, higher is better."""
