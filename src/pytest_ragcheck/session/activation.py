"""What ``--ragcheck`` switches on."""

from __future__ import annotations

import pytest

from pytest_ragcheck.safe_text import one_line
from pytest_ragcheck.session.cluster.target import check_engine
from pytest_ragcheck.session.collection import check_arguments
from pytest_ragcheck.session.gate import Gate, check_baselines
from pytest_ragcheck.session.github import GitHub, is_on_github
from pytest_ragcheck.session.html_extras import HtmlExtras, wants_html
from pytest_ragcheck.session.judge_header import JudgeHeader
from pytest_ragcheck.session.options import Options
from pytest_ragcheck.session.recorder import RECORDER, Recorder
from pytest_ragcheck.session.roles import is_worker
from pytest_ragcheck.session.runs import state_of_run
from pytest_ragcheck.session.selection import CATALOG
from pytest_ragcheck.session.shown_failures import ShownFailures
from pytest_ragcheck.session.spool import SPOOL, ResultSpool
from pytest_ragcheck.session.suite_catalog import SuiteCatalog
from pytest_ragcheck.session.summary import Summary
from pytest_ragcheck.session.terminal import TerminalFacts

__all__ = ["activate"]


def activate(config: pytest.Config) -> None:
    """Check all input that the arguments lead to, then register what answers, records and prints.

    All usage errors pass through here: pytest prints them as they are, and the paths and values in them may come from
    a pull request's file.
    """
    try:
        _activate(config)
    except pytest.UsageError as problem:
        raise pytest.UsageError(one_line(str(problem))) from None


def _activate(config: pytest.Config) -> None:
    options = Options.read(config)
    check_engine(config, options)
    catalog = SuiteCatalog(options, config.invocation_params.dir, config.rootpath)
    config.stash[CATALOG] = catalog
    check_arguments(config, catalog)
    config.stash[SPOOL] = spool = ResultSpool(lambda: state_of_run(catalog, config.rootpath))
    config.add_cleanup(spool.close)
    recorder = Recorder(config, options, catalog)
    config.stash[RECORDER] = recorder
    plugins = config.pluginmanager
    plugins.register(recorder, "ragcheck-recorder")
    if not is_worker(config):
        check_baselines(options, catalog)
        plugins.register(Gate(config, options, recorder, catalog), "ragcheck-gate")
        plugins.register(Summary(recorder, catalog, options), "ragcheck-summary")
        plugins.register(JudgeHeader(options), "ragcheck-judge-header")
        plugins.register(TerminalFacts(config), "ragcheck-terminal-facts")
        plugins.register(ShownFailures(), "ragcheck-shown-failures")
        if config.getoption("dist", "no") != "no":
            from pytest_ragcheck.session.workers_limits import WorkersLimits

            plugins.register(WorkersLimits(options.max_cost), "ragcheck-workers-limits")
            from pytest_ragcheck.session.workers_progress import WorkersProgress
            from pytest_ragcheck.session.workers_watch import WorkersWatch

            plugins.register(WorkersProgress(config), "ragcheck-workers-progress")
            plugins.register(WorkersWatch(config), "ragcheck-workers-watch")
        if is_on_github():
            plugins.register(GitHub(config, options, recorder), "ragcheck-github")
        if options.reports:
            _activate_reports(config, options, recorder, catalog)
    if wants_html(config):
        plugins.register(HtmlExtras(), "ragcheck-html-extras")
    if plugins.hasplugin("asyncio"):
        from pytest_ragcheck.session import live_asyncio

        plugins.register(live_asyncio, "ragcheck-live")
    else:
        from pytest_ragcheck.session import live_runner

        plugins.register(live_runner, "ragcheck-live")


def _activate_reports(config: pytest.Config, options: Options, recorder: Recorder, catalog: SuiteCatalog) -> None:
    from pytest_ragcheck.session.reports import Reports, check_places

    check_places(options, config.invocation_params.dir)
    config.pluginmanager.register(Reports(config, options, recorder, catalog), "ragcheck-reports")
