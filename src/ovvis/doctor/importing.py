"""Run as a process: imports libraries one by one, and says what PyTorch and PyAV can do here."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from ovvis.doctor.children import say
from ovvis.doctor.machine import nvidia_driver
from ovvis.doctor.rows import Row, State, attempt, one_line, size

DEVICES, CODECS = "devices", "codecs"

READ = {"H.264": "h264", "HEVC": "hevc", "VP9": "vp9", "AV1": "libdav1d", "ProRes": "prores", "MPEG-4": "mpeg4"}
# x + x of one number, as a file of ONNX; tests/doctor/test_doctor.py makes it.
SUM = (
    b'\x08\x08:5\n\x0e\n\x01x\n\x01x\x12\x01y"\x03Add\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)
WRITTEN = {
    "libx264": "painted videos",
    "libvpx-vp9": "cut-outs with alpha (WebM)",
    "prores_ks": "cut-outs with alpha (MOV)",
}


def main() -> None:
    """Import the modules that the arguments name."""
    for name in sys.argv[1:]:
        say(begins=name)
        start = time.perf_counter()
        try:
            import_module(name)
        except BaseException as error:  # a library that is broken may raise anything
            say(module=name, error=one_line(error))
            continue
        say(module=name, seconds=round(time.perf_counter() - start, 2))
        look = LOOKS.get(name)
        if look is not None:
            for row in attempt(PARTS[name], name, look):
                say(row=[row.part, row.name, row.found, row.state, row.remedy])


def devices() -> Iterable[Row]:
    """Yield what PyTorch can compute on, and in which precision `--precision auto` does."""
    import torch

    yield Row(
        DEVICES, "CPU in PyTorch", f"{torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    )
    names = ["cpu"]
    built = torch.version.cuda or torch.version.hip
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            names.append(f"cuda:{number}")
            about = torch.cuda.get_device_properties(number)
            free = torch.cuda.mem_get_info(number)[0]
            yield Row(
                DEVICES,
                f"cuda:{number}",
                f"{about.name}, {size(about.total_memory)} ({size(free)} free), capability {about.major}.{about.minor}",
            )
    else:
        yield _no_gpu(built)
    if torch.backends.mps.is_available():
        names.append("mps")
        yield Row(DEVICES, "MPS", "there")
    elif torch.backends.mps.is_built():
        yield Row(DEVICES, "MPS", "built in, but this machine has none")
    from ovvis.models.devices import pick_precision

    for name in names:
        device = torch.device(name)
        fast = str(pick_precision("auto", device)).removeprefix("torch.")
        can = ", ".join(_computes(device))
        yield Row(DEVICES, f"precision on {name}", f"--precision auto is {fast}; it computes in {can}")


def _no_gpu(built: str | None) -> Row:
    """Return why there is no CUDA; something to do where an NVIDIA driver says that there is a GPU."""
    found = f"PyTorch for CUDA {built}: no GPU that it can use" if built else "PyTorch without CUDA"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")  # by a person, or by the system that hands out GPUs
    if hidden is not None or not nvidia_driver():
        return Row(DEVICES, "CUDA", found)
    remedy = f"a newer driver, or PyTorch for a CUDA before {built}; in a container: --gpus all"
    return Row(
        DEVICES, "CUDA", f"{found}, but a driver is here", "note", remedy if built else "install PyTorch with CUDA"
    )


def _computes(device: object) -> list[str]:
    """Return the floating types that a device multiplies at all."""
    import torch

    can = []
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        try:
            ones = torch.ones(8, 8, dtype=kind, device=device)  # type: ignore[call-overload]
            if float((ones @ ones).sum()) == 512:
                can.append(str(kind).removeprefix("torch."))
        except (RuntimeError, TypeError):
            continue
    return can


def codecs() -> Iterable[Row]:
    """Yield what PyAV's ffmpeg reads and writes."""
    import av

    versions = getattr(av, "library_versions", {})
    yield Row(CODECS, "ffmpeg in PyAV", ", ".join(f"{name} {'.'.join(map(str, of))}" for name, of in versions.items()))
    read = {title: _has(av, name, "r") for title, name in READ.items()}
    lacking = [title for title, there in read.items() if not there]
    yield Row(CODECS, "read", ", ".join(title for title, there in read.items() if there))
    if lacking:
        yield Row(
            CODECS, "not read", ", ".join(lacking), "note", "install PyAV's own wheel: pip install --only-binary av av"
        )
    for name, what in WRITTEN.items():
        there = _has(av, name, "w")
        remedy = "" if there else "install PyAV's own wheel: pip install --only-binary av av"
        state: State = "ok" if there else "wrong" if name == "libx264" else "note"
        yield Row(CODECS, f"written: {name}", f"{what}{'' if there else ': no such encoder'}", state, remedy)


def _has(av: object, name: str, mode: str) -> bool:
    try:
        av.Codec(name, mode)  # type: ignore[attr-defined]
    except Exception:  # its errors have had other classes over the years
        return False
    return True


def providers() -> Iterable[Row]:
    """Yield what ONNX Runtime runs an exported model on: each of its providers computes a sum, and says so or not."""
    import onnxruntime

    from ovvis.models.export.providers import CPU, known_here

    computes, silent = [], []
    for name in known_here():
        why_not = _cannot_add(onnxruntime, name)
        if why_not is None:
            computes.append(name)
            continue
        remedy = "pip install --force-reinstall onnxruntime" if name == CPU else "its libraries; meanwhile --device cpu"
        state: State = "wrong" if name == CPU else "note"
        silent.append(Row(DEVICES, f"ONNX Runtime, {name}", f"does not compute: {why_not}", state, remedy))
    yield Row(DEVICES, "ONNX Runtime", f"{onnxruntime.__version__}: {', '.join(computes) or 'nothing'} computes")
    yield from silent


def _cannot_add(onnxruntime: Any, name: str) -> str | None:
    """Return why a provider does not compute; None where it does."""
    import numpy

    try:
        session = onnxruntime.InferenceSession(SUM, providers=[name])
        if name not in session.get_providers():  # it goes on with the processor, without a word
            return "it does not load"
        found = session.run(None, {"x": numpy.array([1.5], numpy.float32)})[0]
    except Exception as error:  # whatever a broken library raises
        return one_line(error)
    return None if float(found[0]) == 3.0 else f"1.5 + 1.5 is {float(found[0])}"


LOOKS: dict[str, Callable[[], Iterable[Row]]] = {"torch": devices, "av": codecs, "onnxruntime": providers}
PARTS = {"torch": DEVICES, "av": CODECS, "onnxruntime": DEVICES}

if __name__ == "__main__":
    main()
