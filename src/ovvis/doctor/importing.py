"""Run as a process: imports libraries one by one, and says what PyTorch and PyAV can do here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module

from ovvis.doctor.children import say
from ovvis.doctor.rows import Row, State, attempt, one_line, size

DEVICES, CODECS = "devices", "codecs"

READ = {"H.264": "h264", "HEVC": "hevc", "VP9": "vp9", "AV1": "libdav1d", "ProRes": "prores", "MPEG-4": "mpeg4"}
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
        yield Row(
            DEVICES, "CUDA", f"PyTorch built for {built}: no GPU that it can use" if built else "PyTorch without CUDA"
        )
    if torch.backends.mps.is_available():
        names.append("mps")
        yield Row(DEVICES, "MPS", "there")
    elif torch.backends.mps.is_built():
        yield Row(DEVICES, "MPS", "built in, but this machine has none")
    from ovvis.models.devices import pick_precision

    for name in names:
        device = torch.device(name)
        fast = str(pick_precision("auto", device)).removeprefix("torch.")
        yield Row(DEVICES, f"precision on {name}", f"auto is {fast}; {', '.join(_computes(device))} compute")


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
    """Yield what ONNX Runtime can run an exported model on."""
    import onnxruntime

    from ovvis.models.export.providers import known_here

    yield Row(DEVICES, "ONNX Runtime", f"{onnxruntime.__version__}: {', '.join(known_here())}")


LOOKS: dict[str, Callable[[], Iterable[Row]]] = {"torch": devices, "av": codecs, "onnxruntime": providers}
PARTS = {"torch": DEVICES, "av": CODECS, "onnxruntime": DEVICES}

if __name__ == "__main__":
    main()
