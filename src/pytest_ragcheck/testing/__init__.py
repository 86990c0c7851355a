"""Servers to test and rehearse against."""
