"""Where a network computes, and in which floating type: by name, or the best that this machine has."""

from __future__ import annotations

import torch

from ovvis.errors import InputError, nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_device(device: str) -> torch.device:
    """Return a device by name; "auto" is CUDA, else MPS, else the CPU.

    Raises:
        InputError: there is no such device on this machine.
    """
    mps = torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r}: there is none of that name; use cpu, cuda, cuda:N or mps") from error
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(mps)}.get(chosen.type, 0)
    if (chosen.index or 0) >= here:
        raise InputError(f"device {device!r}: this machine has none; use cpu, or auto for the best there is")
    return chosen


def pick_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return a floating type by name; "auto" is bfloat16 where the device multiplies it fast, else float32.

    Raises:
        InputError: an unknown name.
    """
    if precision == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
        fast = (getattr(torch.cpu, f"_is_{kind}_supported", lambda: False) for kind in ("amx_tile", "avx512_bf16"))
        return torch.bfloat16 if device.type == "cpu" and any(has() for has in fast) else torch.float32
    if precision not in DTYPES:
        raise InputError(f"precision {precision!r}: {nearest(precision, ['auto', *DTYPES])}")
    return DTYPES[precision]
