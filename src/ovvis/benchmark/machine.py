"""Which machine this is."""

from __future__ import annotations

import platform

from ovvis.benchmark.records import Machine
from ovvis.hardware import memory, processor, usable_cores
from ovvis.version import __version__


def this_machine(accelerator: str = "") -> Machine:
    """Return this machine, as PyTorch is set up here; `accelerator` is the name of the GPU that is used."""
    import torch

    return Machine(
        processor=processor(),
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        memory_gib=round((memory() or 0) / 2**30, 1),
        accelerator=accelerator,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
        instructions=torch.backends.cpu.get_cpu_capability(),
        ovvis=__version__,
    )


def told(machine: Machine) -> str:
    """Return a machine as a line."""
    return ", ".join(
        part
        for part in (
            machine.accelerator,
            f"{machine.processor} ({machine.cores} cores, {machine.threads} threads, {machine.instructions})",
            f"{machine.memory_gib:.0f} GiB",
            f"torch {machine.torch}",
            f"ovvis {machine.ovvis}",
        )
        if part
    )
