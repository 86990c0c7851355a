"""A run as one HTML file that needs nothing else: no network, no other file, no server."""

from __future__ import annotations

from pytest_ragcheck.report.html.page import html_report

__all__ = ["html_report"]
