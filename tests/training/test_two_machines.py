"""A rehearsal of training on two machines: two agents of torchrun that find each other over an address."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_run import toy_config, toy_task, toy_train

from ovvis.training import checkpoint

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.slow
def test_two_machines_do_what_one_process_does(tmp_path: Path) -> None:
    config = toy_config()
    toy_train(tmp_path / "one", config, task=toy_task(config, dropout=0.0))
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "rehearsal"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", *meeting]
    command += ["--local-addr", "127.0.0.1", str(HERE / "toy_run.py"), "machine", str(tmp_path / "two")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    agents = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) for _ in range(2)]
    try:
        for agent in agents:
            _, said = agent.communicate(timeout=300)
            assert agent.returncode == 0, said[-3000:]
    finally:
        for agent in agents:
            agent.kill()
    (facts, first), (others, second) = (torch.load(tmp_path / f"two-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert facts == {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "1", "GROUP_RANK": "0", "RANK": "0"}
    assert others == facts | {"GROUP_RANK": "1", "RANK": "1"}
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    one, two = checkpoint.latest(tmp_path / "one"), checkpoint.latest(tmp_path / "two")
    assert one is not None and two is not None
    assert all(torch.allclose(one.weights[name], two.weights[name], atol=1e-6) for name in one.weights)
