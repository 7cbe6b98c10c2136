"""Devices, processes and precision of a run, by Lightning Fabric."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor, nn

from ovvis.errors import InputError
from ovvis.held_memory import most_held
from ovvis.models.devices import pick_device
from ovvis.training.config import Precision
from ovvis.training.task import Batch, Losses


def make_fabric(precision: Precision, device: str = "auto") -> Fabric:
    """Return a Fabric, launched: one process, or under `torchrun` those that torchrun started.

    Args:
        precision: "32-true", "bf16-mixed" or "16-mixed" (with a scaled loss; CUDA alone).
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        InputError: the device is not here or does not do the precision.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces what was asked for
    where = pick_device(device)
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    machines = int(os.environ.get("WORLD_SIZE", "1")) // here
    many = here * machines > 1
    if many and where.index is not None:
        raise InputError(f"device {device!r} under torchrun: it gives each process its own; use cuda")
    if precision == "16-mixed" and where.type != "cuda":
        raise InputError(f"precision 16-mixed needs a CUDA device, not {where}; use bf16-mixed or 32-true")
    # With a plugin of our own the scaler is at hand when a checkpoint is written.
    plugin = MixedPrecision(precision, where.type) if precision != "32-true" else None
    devices: Any = [where.index] if where.index is not None else here
    fabric = Fabric(
        accelerator=where.type,
        devices=devices,
        num_nodes=machines,
        strategy="ddp" if many else "auto",
        plugins=None if plugin is None else [plugin],
    )
    fabric.launch()
    return fabric


def memory_held(device: torch.device) -> int:
    """Return the most bytes that the device, or on a CPU this process, has held; 0 on Windows, which does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return most_held() or 0


@contextmanager
def forward_in_precision(model: nn.Module, fabric: Fabric) -> Iterator[None]:
    """Let a model's forward, and nothing around it, compute in the run's precision within the block.

    What takes its answers on, to follow, name and compare, needs float32.
    """
    opened: list[Any] = []

    def enter(*_: Any) -> None:
        opened.append(fabric.autocast())
        opened[-1].__enter__()

    def leave(*_: Any) -> None:
        opened.pop().__exit__(None, None, None)

    hooks = [model.register_forward_pre_hook(enter), model.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Sealed:
    """A batch that Fabric hands through unseen: it would change the types of what is inside, records too."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch


class Opened(nn.Module):
    """An objective that takes sealed batches."""

    def __init__(self, objective: nn.Module) -> None:
        super().__init__()
        self.objective = objective

    def forward(self, sealed: Sealed) -> tuple[Tensor, Losses]:
        """Return what the objective says of the batch."""
        return self.objective(sealed.batch)  # type: ignore[no-any-return]
