"""Install promptfoo in a folder of its own, and configure four judged metrics of it.

Its four metrics about answers and contexts make 7 judge calls a question, as many as deepeval's four do without
reasons. Embeddings, which one of them compares, cost nothing: a file of the configuration computes them. Nothing but
the loopback server is asked: telemetry, updates, sharing and generation elsewhere are off.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

PROMPTFOO = "promptfoo@0.123.1"
NODE = (22, 22)
"""What it needs; installed with it where the system's is older."""
QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "PROMPTFOO_DISABLE_UPDATE": "1",
    "PROMPTFOO_DISABLE_SHARING": "1",
    "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1",
    "PROMPTFOO_FAILED_TEST_EXIT_CODE": "0",
}
SYSTEMS = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}


class CannotInstallError(Exception):
    """promptfoo is not available here; the text says why."""


def install(folder: Path) -> tuple[str, ...]:
    """Install promptfoo, unless it is in ``folder`` already, and return the command that runs it."""
    folder = folder.resolve()
    entry = folder / "node_modules" / "promptfoo" / "dist" / "src" / "entrypoint.js"
    own_node = folder / "node_modules" / node_package() / "bin" / "node"
    if not entry.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}')
        # Its optional packages take 2 GB, and scripts of packages are not run: only what reads its database is needed.
        npm(folder, PROMPTFOO, *([] if node_is_new() else [f"{node_package()}@{NODE[0]}"]))
        npm(folder, database_package(folder))
    command = (str(own_node if own_node.exists() else shutil.which("node")), str(entry))
    done = subprocess.run((*command, "--version"), capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise CannotInstallError(f"promptfoo does not start: {last_line(done.stderr or done.stdout)}")
    return command


def npm(folder: Path, *packages: str) -> None:
    options = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit=optional")
    try:
        done = subprocess.run(
            ("npm", "install", *options, *packages),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    except FileNotFoundError:
        raise CannotInstallError("npm is not installed") from None
    except subprocess.TimeoutExpired:
        raise CannotInstallError("npm did not end within 300 s") from None
    if done.returncode:
        raise CannotInstallError(f"npm install {' '.join(packages)} failed: {last_line(done.stderr)}")


def node_is_new() -> bool:
    if shutil.which("node") is None:
        return False
    version = subprocess.run(("node", "--version"), capture_output=True, text=True, check=True).stdout
    return tuple(map(int, re.findall(r"\d+", version)[:2])) >= NODE


def node_package() -> str:
    return f"node-{platform.system().lower()}-{SYSTEMS.get(platform.machine(), platform.machine())}"


def database_package(folder: Path) -> str:
    """Find the package with the compiled part of its database for this system, in the version that it asks for."""
    known = json.loads((folder / "node_modules" / "libsql" / "package.json").read_text())["optionalDependencies"]
    system = node_package().replace("node-", "@libsql/", 1)
    for name, version in known.items():
        if name in (system, f"{system}-gnu"):
            return f"{name}@{version}"
    raise CannotInstallError(f"libsql has no package for {system}")


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def arguments(in_flight: int) -> tuple[str, ...]:
    """Build the arguments that evaluate the project in the current folder."""
    quiet = ("--no-cache", "--no-write", "--no-table", "--no-progress-bar")
    return ("eval", "-c", "promptfooconfig.json", "-j", str(in_flight), "-o", "results.json", *quiet)


def configuration(rows, writer: str, judge: str) -> dict[str, object]:
    """Build the configuration for these questions; it needs ``embedder.mjs`` in the same folder."""
    kinds = ("context-faithfulness", "answer-relevance", "context-relevance")
    asserted = [{"type": kind, "threshold": 0} for kind in kinds]
    asserted.append({"type": "context-recall", "value": "{{reference}}", "threshold": 0})
    judging = {"text": model(judge, 4096), "embedding": "file://embedder.mjs"}
    return {
        "prompts": ["{{context}}\n\n{{query}}"],
        "providers": [model(writer, 1024)],
        "defaultTest": {"options": {"provider": judging}, "assert": asserted},
        "tests": [
            {
                "vars": {
                    "query": row["question"],
                    "context": "\n\n".join(row["contexts"]),
                    "reference": row["reference"],
                }
            }
            for row in rows
        ],
    }


def model(name: str, max_tokens: int) -> dict[str, object]:
    return {"id": f"anthropic:messages:{name}", "config": {"max_tokens": max_tokens}}
