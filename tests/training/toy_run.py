"""A task that takes a blink: a small network with dropout, seeded data, everything a real run has but pictures."""

import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from forked import run_forked
from ovvis.training.config import RunConfig, TrainConfig, ValidationConfig
from ovvis.training.devices import make_fabric
from ovvis.training.loop import train
from ovvis.training.task import Task

SAVE_EVERY = 3


@dataclass(frozen=True)
class ToyBatch:
    inputs: torch.Tensor  # B, 4
    truth: torch.Tensor  # B, 2
    origins: tuple[str, ...]

    def to(self, device):
        return replace(self, inputs=self.inputs.to(device), truth=self.truth.to(device))


class ToyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.clip = nn.Linear(4, 4).requires_grad_(False)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.3), nn.LayerNorm(8), nn.Linear(8, 2))

    def forward(self, x):
        return self.body(self.clip(x))


class ToyObjective(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        error = self.model(batch.inputs) - batch.truth
        parts = {"square": error.square().mean(), "absolute": 0.5 * error.abs().mean()}
        return parts["square"] + parts["absolute"], parts


def toy_config(validate_every=5000, **run):
    values = {"steps": 10, "batch": 4, "save_every": SAVE_EVERY, "log_every": 2, "ema": 0.9, "keep": 2, "workers": 0}
    return TrainConfig(run=RunConfig(**(values | run)), validation=ValidationConfig(every=validate_every))


def toy_task(config, rank=0, processes=1, dropout=0.3, spoilt=None):
    """Return the task; the window of number `spoilt` is not a number."""
    torch.manual_seed(config.run.seed)
    model = ToyModel()
    model.body[1].p = dropout
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    size = config.run.batch // config.run.accumulate // processes

    def batches(position):
        while True:
            numbers = range(position + rank, position + size * processes, processes)
            made = [torch.Generator().manual_seed(number) for number in numbers]
            inputs = torch.stack([torch.randn(4, generator=g) for g in made])
            for i, number in enumerate(numbers):
                if number == spoilt:
                    inputs[i] = torch.nan
            truth = torch.stack([torch.randn(2, generator=g) for g in made])
            yield ToyBatch(inputs, truth, tuple(f"window {number}" for number in numbers))
            position += size * processes

    return Task(model, ToyObjective(model), optimizer, lambda step: min(1.0, (step + 1) / 5), batches)


def toy_train(folder, config=None, **options):
    config = config or toy_config()
    task = options.pop("task", None) or toy_task(config)
    fabric = options.pop("fabric", None) or make_fabric(config.run.precision, "cpu")
    return train(task, config, fabric, Path(folder), **options)


def kill_at(moment):
    """Arrange that this process is killed, as by the kernel, at a moment such as "forward 4" or "write 2"."""
    what, number = moment.split()
    left = int(number)

    def before(function):
        def counted(*args, **kwargs):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return counted

    from ovvis.files import output
    from ovvis.training import checkpoint, live

    owner, name = {
        "forward": (ToyModel, "forward"),
        "update": (live.Live, "update"),
        "save": (checkpoint, "save"),
        "write": (checkpoint._Honest, "write"),
        "rename": (output.os, "replace"),
        "prune": (Path, "unlink"),
    }[what]
    setattr(owner, name, before(getattr(owner, name)))


def many(folder):
    """Train in two processes."""

    def one():
        config = toy_config()
        fabric = make_fabric("32-true", "cpu")
        task = toy_task(config, fabric.global_rank, fabric.world_size, dropout=0.0)
        toy_train(folder, config, task=task, fabric=fabric)

    torch.set_num_threads(1)
    run_forked(one)


def machine(folder):
    """Train as the one process of one of several machines; keep this process's weights beside the run."""
    torch.set_num_threads(1)
    config = toy_config()
    fabric = make_fabric("32-true", "cpu")
    task = toy_task(config, fabric.global_rank, fabric.world_size, dropout=0.0)
    toy_train(folder, config, task=task, fabric=fabric)
    facts = {name: os.environ[name] for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "RANK")}
    torch.save((facts, task.model.state_dict()), f"{folder}-{fabric.global_rank}.pt")


def killed_again_and_again(*runs):
    """Run each "FOLDER=MOMENT" in a child of its own, so that PyTorch is imported once."""
    torch.set_num_threads(1)
    for run in runs:
        folder, moment = run.split("=")
        child = os.fork()
        if child == 0:
            if moment != "never":
                kill_at(moment)
            toy_train(folder, toy_config(steps=16))
            os._exit(0)
        print(moment, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    {"many": many, "machine": machine, "killed": killed_again_and_again}[sys.argv[1]](*sys.argv[2:])
