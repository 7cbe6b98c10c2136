"""The whole examination, its parts at once: libraries imported in processes of their own, servers asked meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import metadata
from importlib.util import find_spec

from ovvis.doctor.children import Broken, Silent, lines
from ovvis.doctor.importing import CODECS, DEVICES, PARTS
from ovvis.doctor.machine import DISK, SYSTEM, disk, system
from ovvis.doctor.network import NETWORK, network
from ovvis.doctor.requirements import EXTRAS, LIBRARIES, Need, extras, needs
from ovvis.doctor.rows import Row, attempt

SILENCE = 180.0  # seconds for one library; PyTorch took 100 from a disk that others read at the same time
ORDER = (SYSTEM, LIBRARIES, DEVICES, CODECS, DISK, NETWORK, EXTRAS)
SLOW = 1.0  # seconds of an import that are told
BUSY = "is the machine or its disk busy? try again"
IMPORTER = "ovvis.doctor.importing"
WITH_TORCH = (
    "torch",
    "torchvision",
    "timm",
    "open_clip",
    "lightning_fabric",
)  # imported one after another, in a process

Progress = Callable[[str], object]
Told = dict[str, object]  # a line of the importing process


def examine(tell: Progress = lambda _: None) -> list[Row]:
    """Return all rows, in `ORDER`.

    Args:
        tell: called with what is being looked at, which may take seconds.
    """
    try:
        wanted = [need for need in needs() if not need.extra]
    except metadata.PackageNotFoundError:  # it runs from a folder: the libraries that matter most
        wanted = [Need(name, "", "") for name in ("torch", "torchvision", "open-clip-torch", "timm", "numpy", "av")]
    tell(f"importing {len(wanted)} libraries")
    torches = [need for need in wanted if need.module in WITH_TORCH]
    groups = [
        sorted(torches, key=lambda need: WITH_TORCH.index(need.module)),
        [need for need in wanted if need.module not in WITH_TORCH],
    ]
    installed = _installed()
    with ThreadPoolExecutor(4) as threads:
        looks = [threads.submit(libraries, group) for group in groups]
        others = [
            threads.submit(onnx_runtime),
            threads.submit(attempt, NETWORK, "network", network),
            threads.submit(attempt, DISK, "disk", disk),
        ]
        rows = attempt(SYSTEM, "system", system)
        if installed:
            rows += attempt(EXTRAS, "extras", extras)
        for work in (*looks, *others):
            rows += work.result()
    order = {need.name: number for number, need in enumerate(wanted)}
    return sorted(rows, key=lambda row: (ORDER.index(row.part), order.get(row.name, 0) if row.part == LIBRARIES else 0))


def libraries(wanted: Sequence[Need]) -> list[Row]:
    """Return a row for each library: what befell its import; and rows of what some of them can do."""
    told, rows = imported([need.module for need in wanted])
    return rows + [_library(need, told[need.module]) for need in wanted]


def imported(modules: Sequence[str]) -> tuple[dict[str, Told], list[Row]]:
    """Import modules in a process, and in a further one what comes behind one that brings the process down.

    Returns:
        Told: what was said of each module: its `seconds`, its `error`, or that it was `silent`.
        Rows: of what some of them can do here.
    """
    said: dict[str, Told] = {}
    rows: list[Row] = []
    left = list(modules)
    while left:
        at, broken, end = left[0], "it was not imported", "error"
        try:
            for line in lines(IMPORTER, left, SILENCE):
                if "begins" in line:
                    at = str(line["begins"])
                elif "module" in line:
                    said[str(line["module"])] = line
                elif "row" in line:
                    rows.append(Row(*line["row"]))
        except Broken as error:
            broken, end = str(error), "silent" if isinstance(error, Silent) else "error"
            if at in said and at in PARTS:  # it was imported, and brought the process down when it was tried
                rows.append(Row(PARTS[at], at, broken, "wrong", "install it again"))
        except OSError as error:  # no process could be started
            return said | {name: {"error": f"{error} (see the system's limits)"} for name in left}, rows
        said.setdefault(at, {end: broken})
        left = [name for name in left if name not in said]
    return said, rows


def onnx_runtime() -> list[Row]:
    """Return what ONNX Runtime computes with, where it is installed by whichever name; why it does not, if so."""
    if find_spec("onnxruntime") is None:
        return []
    told, rows = imported(["onnxruntime"])
    why_not = told["onnxruntime"].get("error") or told["onnxruntime"].get("silent")
    if why_not:
        found = f"cannot be imported: {why_not}"
        return [Row(DEVICES, "ONNX Runtime", found, "wrong", "pip install --force-reinstall onnxruntime")]
    return rows


def _library(need: Need, told: Told) -> Row:
    version = need.installed
    again = f"pip install --force-reinstall '{need.name}{need.versions}'"
    if version is None:
        return Row(LIBRARIES, need.name, "missing", "wrong", f"pip install '{need.name}{need.versions}'")
    if "error" in told:
        return Row(LIBRARIES, need.name, f"{version}, cannot be imported: {told['error']}", "wrong", again)
    if "silent" in told:
        return Row(LIBRARIES, need.name, f"{version}, {told['silent']}", "wrong", f"{BUSY}; else {again}")
    seconds = float(str(told["seconds"]))
    found = version if seconds < SLOW else f"{version} (imported in {seconds:.1f} s)"
    if not need.good:
        remedy = f"pip install '{need.name}{need.versions}'"
        return Row(LIBRARIES, need.name, f"{found}, needs {need.versions}", "wrong", remedy)
    return Row(LIBRARIES, need.name, found)


def _installed() -> bool:
    with suppress(metadata.PackageNotFoundError):
        return bool(metadata.version("ovvis"))
    return False
