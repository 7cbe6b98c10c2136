"""How the threads of a program share the processor's cores with other programs."""

from __future__ import annotations

import os


def share_cores() -> None:
    """Let OpenMP's threads sleep when they have waited a little for each other; before PyTorch is imported, or in vain.

    Where other programs have the cores, threads that wait by spinning keep the one that they wait for off them:
    everything then takes many times as long. A little they should spin: to sleep at once costs half as much again on a
    quiet machine. A setting of the user's own stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # rounds, some microseconds; GNU's OpenMP, of PyTorch on Linux
