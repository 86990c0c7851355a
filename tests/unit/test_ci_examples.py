"""The examples for CI: their YAML, what they may do, and that their commands are ones that pytest takes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples" / "ci"


def loaded(name):
    return yaml.safe_load((EXAMPLES / name).read_text(encoding="utf-8"))


def commands(name):
    """The shell's commands that start pytest."""
    plain = loaded(name)
    if name == "github.yml":
        lines = [step["run"] for job in plain["jobs"].values() for step in job["steps"] if "run" in step]
    else:
        lines = plain["rag"]["script"]
    return [line for line in lines if line.startswith("pytest ")]


@pytest.mark.parametrize("cache", ["use", "only"])
@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_the_commands_are_ones_that_pytest_takes(request, name, cache):
    (command,) = commands(name)
    assert "${{" not in command, "an expression in a command is text that a pull request can write"
    arguments = shlex.split(command.replace("$CACHE", cache))[1:]
    options = request.config._parser.parse_known_args(arguments)

    assert (options.ragcheck, options.ragcheck_cache, options.ragcheck_fail_on) == (True, cache, "regression")
    assert options.ragcheck_require_baseline
    assert [path.name for path in options.ragcheck_report] == ["out.md", "out.html"]
    assert options.xmlpath == "rag.xml"


def test_the_workflow_may_do_no_more_than_it_needs():
    plain = loaded("github.yml")
    on = plain[True]  # YAML 1.1 takes the key for a truth value
    jobs = plain["jobs"]

    assert on == "pull_request", "pull_request_target would hand secrets to forks"
    assert plain["permissions"] == {}
    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "gate": {"contents": "read"},
        "comment": {"pull-requests": "write"},
    }
    assert "secrets" not in str(jobs["comment"])
    assert not any("checkout" in step.get("uses", "") for step in jobs["comment"]["steps"]), "it runs no code of theirs"
    assert plain["concurrency"]["cancel-in-progress"] is True
    text = (EXAMPLES / "github.yml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one) for one in uses)


def test_a_fork_is_measured_with_the_base_branchs_store_alone(tmp_path):
    steps = loaded("github.yml")["jobs"]["gate"]["steps"]
    fork_alone = [step for step in steps if step.get("if") == "${{ github.event.pull_request.head.repo.fork }}"]
    fetch, replace = fork_alone
    assert steps.index(replace) < next(n for n, step in enumerate(steps) if step.get("run", "").startswith("pytest "))
    assert fetch["with"]["ref"] == "${{ github.event.pull_request.base.sha }}", "the base branch as it is"

    for name in ("cache.sqlite", "cache.sqlite-wal", "index/manifest.json"):
        forged = tmp_path / "evals" / ".ragcheck" / name
        forged.parent.mkdir(parents=True, exist_ok=True)
        forged.write_text("of the fork")
    own = tmp_path / fetch["with"]["path"] / fetch["with"]["sparse-checkout"] / "cache.sqlite"
    own.parent.mkdir(parents=True)
    own.write_text("of the base branch")
    subprocess.run(["bash", "-e", "-c", replace["run"]], cwd=tmp_path, check=True, capture_output=True)
    files = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"evals/.ragcheck/cache.sqlite": "of the base branch"}


def test_a_merge_request_of_a_fork_is_measured_with_the_target_branchs_store_alone(tmp_path):
    (script,) = [line for line in loaded("gitlab.yml")["rag"]["script"] if "$CACHE" in line and "fetch" in line]
    target, fork = tmp_path / "target.git", tmp_path / "fork"

    def git(*arguments, cwd=target):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=cwd, check=True, capture_output=True)

    def store(folder, content):
        path = folder / "evals" / ".ragcheck" / "cache.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    target.mkdir()
    git("init", "-b", "main")
    store(target, "of the target branch")
    git("add", "-A")
    git("commit", "-m", "store")
    git("clone", str(target), str(fork), cwd=tmp_path)
    store(fork, "of the fork")
    (fork / "evals" / ".ragcheck" / "cache.sqlite-wal").write_text("of the fork")
    environment = os.environ | {
        "CACHE": "only",
        "CI_MERGE_REQUEST_PROJECT_URL": str(tmp_path / "target"),
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    }
    subprocess.run(["bash", "-e", "-c", script], cwd=fork, check=True, capture_output=True, env=environment)
    (kept,) = (fork / "evals" / ".ragcheck").iterdir()
    assert kept.read_text() == "of the target branch"


def test_what_is_reported_is_kept():
    (upload,) = [step for step in loaded("github.yml")["jobs"]["gate"]["steps"] if "upload" in step.get("uses", "")]
    job = loaded("gitlab.yml")["rag"]

    assert upload["with"]["path"].split() == ["out.md", "out.html", "rag.xml"]
    assert (upload["if"], job["artifacts"]["when"]) == ("${{ !cancelled() }}", "always")
    assert job["artifacts"]["reports"] == {"junit": "rag.xml"}
    assert [rule.get("variables") for rule in job["rules"]] == [{"CACHE": "only"}, None]
