"""Which machine this is."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from ovvis.benchmark.records import Machine
from ovvis.version import __version__


def this_machine(accelerator: str = "") -> Machine:
    """Return this machine, as PyTorch is set up here; `accelerator` is the name of the GPU that is used."""
    import torch

    return Machine(
        processor=_processor(),
        cores=_cores(),
        threads=torch.get_num_threads(),
        memory_gib=round(_memory() / 2**30, 1),
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


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _processor() -> str:
    """Return the processor's name, with its family and model where the name is all that a host tells of several."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.machine()
    marks = [f"{key} {facts[key]}" for key in ("cpu family", "model") if facts.get(key)]
    return f"{name}, {', '.join(marks)}" if marks else name


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on every system
        return 0


def peak_mib() -> float | None:
    """Return this process's largest resident memory so far; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def available_mib() -> float | None:
    """Return the memory that other processes may still take; None where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    except (OSError, ValueError):
        pass
    return None
