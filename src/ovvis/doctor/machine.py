"""The system, its memory, its disks, and what of ovvis lies there."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from ovvis.doctor.rows import Row, home_hidden, size, without_password
from ovvis.hardware import available_memory, memory, processor, usable_cores
from ovvis.version import __version__

SYSTEM, DISK = "system", "disk and cache"
LITTLE = 2 * 2**30  # bytes of disk below which fetching a model may fail

# Variables that change what ovvis computes, where it looks, or who it asks; what they hold is no secret.
VARIABLES = (
    *("OVVIS_CACHE", "OVVIS_DATA", "OVVIS_MIRROR", "OVVIS_OFFLINE", "HF_HOME", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF"),
    *("PYTORCH_ENABLE_MPS_FALLBACK", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "PYTHONPATH", "LD_PRELOAD"),
)
SECRET = ("HF_TOKEN", "OVVIS_COOKIES")  # whether they are set is told, not what they hold


def system() -> Iterable[Row]:
    """Yield what runs: ovvis, Python, the system, its processor and memory."""
    where = home_hidden(Path(__file__).parents[1])
    try:
        stated = metadata.version("ovvis")
    except metadata.PackageNotFoundError:
        yield Row(
            SYSTEM, "ovvis", f"{__version__}, not installed, from {where}", "note", "pip install -e . in its folder"
        )
    else:
        told = "" if stated == __version__ else f" (its metadata says {stated})"
        yield Row(SYSTEM, "ovvis", f"{__version__}{told}, from {where}")
    yield Row(
        SYSTEM,
        "Python",
        f"{platform.python_version()} ({platform.python_implementation()}), {home_hidden(sys.executable)}",
    )
    yield Row(SYSTEM, "system", f"{platform.platform()}{_container()}")
    yield Row(SYSTEM, "processor", f"{processor()}, {_cores()}")
    yield Row(SYSTEM, "memory", _memory())
    driver = nvidia_driver()
    if driver:
        yield Row(SYSTEM, "NVIDIA driver", driver)
    for name in VARIABLES:
        if value := os.environ.get(name):
            yield Row(SYSTEM, name, home_hidden(without_password(value)))
    for name in SECRET:
        if os.environ.get(name):
            yield Row(SYSTEM, name, "set")


def disk() -> Iterable[Row]:
    """Yield the folders that are written to, the space in them, and which weights are here."""
    from ovvis.paths import cache_folder

    cache = cache_folder()
    held = sum(_size(file) for file in cache.rglob("*")) if cache.is_dir() else 0
    for name, folder, what in (
        ("cache (OVVIS_CACHE)", cache, f", {size(held)} in it"),
        ("temporary files (TMPDIR)", Path(tempfile.gettempdir()), ""),
        ("this folder", Path.cwd(), ""),
    ):
        yield _folder(name, folder, what)
    yield from _weights()


def _folder(name: str, folder: Path, what: str) -> Row:
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    found = f"{home_hidden(folder)}{what}, {size(free)} free"
    if not os.access(there, os.W_OK):
        return Row(DISK, name, f"{found}, cannot be written", "note", "choose another folder, or mend its rights")
    if free < LITTLE:
        return Row(DISK, name, found, "note", "free some: a model takes up to 1.5 GB")
    return Row(DISK, name, found)


def _weights() -> Iterable[Row]:
    from ovvis.models.default import default_model
    from ovvis.models.places import weights_files, weights_path
    from ovvis.models.zoo import SMALL_MODEL, list_models

    for entry in list_models():
        files = weights_files(entry)
        if entry.packaged and entry.name == SMALL_MODEL and not all(file.is_file() for file in files):
            yield Row(DISK, entry.name, "missing from the package", "wrong", "install ovvis again")
    here = [entry for entry in list_models() if weights_path(entry).is_file()]
    yield Row(DISK, "weights here", ", ".join(f"{entry.name} ({size(_size(weights_path(entry)))})" for entry in here))
    chosen = default_model(ask=False)
    fetched = (
        "" if chosen.to_fetch_bytes is None else f", to be fetched once (about {chosen.to_fetch_bytes / 1e6:,.0f} MB)"
    )
    yield Row(DISK, "where no model is named", f"{chosen.name}{fetched}")


def _size(file: Path) -> int:
    with suppress(OSError):
        return file.lstat().st_size
    return 0


def _container() -> str:
    return ", in a container" if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists() else ""


def _cores() -> str:
    every, usable = os.cpu_count() or 1, usable_cores()
    return f"{usable} cores" if usable == every else f"{usable} of {every} cores"


def _memory() -> str:
    """Return the machine's memory, and a container's or job's share of it where that is less."""
    if (whole := memory()) is None:
        return "not told by this system"
    told = size(whole)
    with suppress(OSError, ValueError):
        share = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
        if share < whole:
            told = f"{size(share)} of {told}"
    free = available_memory()
    return told if free is None else f"{told}, {size(free)} available"


def nvidia_driver() -> str:
    """Return the version of a driver, which may be there where PyTorch sees no GPU."""
    with suppress(OSError):
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
        return next(iter(text.splitlines()), "").removeprefix("NVRM version:").strip()
    return ""
