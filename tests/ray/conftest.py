"""A Ray cluster of two nodes on 127.0.0.1, which the inner pytest finds by RAY_ADDRESS."""

from __future__ import annotations

import gc
import os
import socket
import warnings

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "node_ip_address": "127.0.0.1", "include_dashboard": False}
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # without it Ray takes the machine's outer address for 127.0.0.1
}


@pytest.fixture(scope="session")
def cluster():
    pytest.importorskip("ray")
    os.environ |= ENVIRONMENT
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # Ray leaves the log files of its client's server open
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"ray_client_server_port": free_port()})
        gc.collect()
    cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture
def client_address(cluster):
    """Where the cluster takes clients."""
    return f"ray://127.0.0.1:{cluster.head_node._ray_params.ray_client_server_port}"


@pytest.fixture
def on_ray(cluster):
    """Runs the inner pytest of a project with its questions on the cluster."""

    def run(project, *arguments, environment=None, **options):
        told = {"RAY_ADDRESS": cluster.address} | (environment or {})
        return project.run("--ragcheck-engine", "ray", *arguments, environment=told, timeout=300, **options)

    return run
