"""A Ray cluster of several nodes on this machine: the same results as in one process, each call once, a node lost.

``python benchmarks/ray_cluster.py [--questions 1000] [--nodes 3]``

The reference pipeline with Claude as the generator, against a loopback Messages API with latency, and an embedder that
costs nothing: in one process; on the cluster; and on the cluster with one of its nodes killed after a third of the
calls. Then a server whose limit nobody knows, and which fails some calls. Every node listens on 127.0.0.1 and gives
one CPU.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support import print_table
from workers import CONCURRENCY, WEATHER_HEADS, command, environment, project, results, weather_row

from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "node_ip_address": "127.0.0.1", "include_dashboard": False}
RAY = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}
WEATHERED = 300
"""Questions."""
HEADS = ("run", "questions", "calls", "made twice", "in flight at most", "results as in one process", "wall")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    os.environ |= RAY
    from ray.cluster_utils import Cluster

    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        rows = [measured("one process", place / "local", options.questions, None)]
        reference = results(place / "local")
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            others = [cluster.add_node(**NODE) for _ in range(options.nodes - 1)]
            to_cluster = ("--ragcheck-engine", "ray")
            there = {"RAY_ADDRESS": cluster.address}
            label = f"{options.nodes} nodes"
            rows.append(measured(label, place / "ray", options.questions, reference, *to_cluster, **there))

            def kill():
                cluster.remove_node(others[0], allow_graceful=False)

            label = f"{options.nodes} nodes, one killed"
            rows.append(measured(label, place / "lost", options.questions, reference, *to_cluster, kill=kill, **there))
            cluster.add_node(**NODE)
            here, *found = weather_row("one process", place / "weather", WEATHERED, None)
            folder, variables = place / "weather-ray", RAY | there
            there_too, *_ = weather_row(f"{options.nodes} nodes", folder, WEATHERED, found, *to_cluster, **variables)
        finally:
            cluster.shutdown()
    print_table(HEADS, rows)
    print(f"\na server that refuses more than {CONCURRENCY} calls at once, and fails 7 % of them\n")
    print_table(WEATHER_HEADS, [here, there_too])


def measured(label, folder, questions, reference, *arguments, kill=None, **variables):
    with MessagesApi(Behaviour(latency=0.2)) as api:
        project(folder, questions)
        variables = environment(folder, api) | RAY | variables
        started = time.perf_counter()
        output = folder / "output"
        with output.open("wb") as file:
            process = subprocess.Popen(command(*arguments), cwd=folder, env=variables, stdout=file, stderr=file)
            while kill and process.poll() is None:
                time.sleep(0.05)
                if api.stats.replies >= questions / 3:
                    kill()
                    break
            status = process.wait()
        wall = time.perf_counter() - started
        stats = api.stats
    if status:
        sys.exit(output.read_text())
    asked = [line.digest for line in stats.log if line.path == MESSAGES_PATH]
    again = len(asked) - len(set(asked))
    same = reference is None or results(folder) == reference
    if not same or again > CONCURRENCY or stats.peak_in_flight > CONCURRENCY:
        sys.exit(f"{label}: {again} calls were made twice, {stats.peak_in_flight} at once, same results: {same}")
    return (label, questions, len(asked), again, stats.peak_in_flight, same, f"{wall:.1f} s")


if __name__ == "__main__":
    main()
