"""A cluster of Ray's on this machine for a module's tests: small, in a folder with a short name, gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
import ray
from ray.cluster_utils import Cluster

import ovvis

NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 << 20, "include_log_monitor": False}


@contextmanager
def small_cluster(nodes: int) -> Iterator[Cluster]:
    """Give a cluster of so many machines with a core each."""
    folder = tempfile.mkdtemp(prefix="or", dir="/tmp")  # a socket's path has 107 characters at most
    Path(folder, "ray").mkdir()
    kept = dict(os.environ)
    os.environ |= {
        "PYTHONPATH": str(Path(ovvis.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "OVVIS_CACHE": f"{folder}/cache",
        "RAY_TMPDIR": folder,
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONWARNINGS": "ignore",
        # Machines that go are missed soon; those that are only slow, beside other tests, are not.
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "10000",
        "RAY_health_check_failure_threshold": "10",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_worker_niceness": "0",  # 15 by default: beside other tests nothing would be done
    }
    cluster = None
    try:
        cluster = Cluster(initialize_head=True, head_node_args=NODE | {"include_dashboard": False})
        for _ in range(nodes - 1):
            cluster.add_node(**NODE)
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR")
        yield cluster
    finally:
        os.environ.clear()
        os.environ.update(kept)
        ray.shutdown()
        if cluster is not None:
            cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def workers(cluster: Cluster) -> list[psutil.Process]:
    """Return the processes of the actors that are at work."""
    found = []
    for node in cluster.list_all_nodes():
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        for child in raylet.children():
            try:
                if "_Actor" in child.name() or any("_Actor" in word for word in child.cmdline()):
                    found.append(child)
            except psutil.NoSuchProcess:
                continue
    return found


def wait_for(what, seconds: float = 150.0):
    """Return what a function returns as soon as it is something."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return found
