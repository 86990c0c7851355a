"""What the checks look at: the current folder, its configuration, and how pytest starts in it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_ragcheck.commands.doctor.pytest_start import PytestStart
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.config_file import ConfigurationFile

__all__ = ["ANTHROPIC", "Patient"]

ANTHROPIC = "anthropic"


class Patient:
    """Each thing is found out once, by the first check that asks."""

    def __init__(self, folder: Path, *, offline: bool) -> None:
        self.folder = folder
        self.offline = offline

    @cached_property
    def configuration(self) -> ConfigurationFile | None:
        """The nearest one; ConfigurationError where it is not TOML."""
        from pytest_ragcheck.session.config_file import find_configuration

        return find_configuration(self.folder)

    @cached_property
    def settings(self) -> Settings:
        """What the configuration says, else the defaults; ConfigurationError where it is not valid."""
        from pytest_ragcheck.session.config import load_settings

        return load_settings(self.folder, invocation=self.folder)

    @property
    def usable_settings(self) -> Settings | None:
        """The settings; None where they are not valid, which a check of its own tells."""
        from pytest_ragcheck.errors import ConfigurationError

        try:
            return self.settings
        except ConfigurationError:
            return None

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the configuration asks, each once."""
        from pytest_ragcheck.metrics.judged.settings import is_own_judge

        settings = self.usable_settings
        if settings is None:
            return ()
        provider, _, model = settings.generator.partition(":")
        generator = model if provider == ANTHROPIC else ""
        judge = "" if settings.judge is None or is_own_judge(settings.judge) else settings.judge
        return tuple(dict.fromkeys(filter(None, (generator, judge))))

    @cached_property
    def pytest_start(self) -> PytestStart:
        """How pytest starts in the folder."""
        from pytest_ragcheck.commands.doctor.pytest_start import start_pytest

        return start_pytest(self.folder)
