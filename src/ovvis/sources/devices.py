"""Cameras and screens as libav's devices, on Linux, macOS and Windows."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl

import av

from ovvis.errors import InputError
from ovvis.sources.place import Place

_KEYS = {"size": r"[1-9]\d*x[1-9]\d*", "fps": r"\d+(\.\d+)?", "format": r"\w+", "area": r"\d+,\d+,[1-9]\d*,[1-9]\d*"}
_LIKE = {"size": "1280x720", "fps": "30", "format": "mjpeg", "area": "0,0,800,600"}
_SILENCE = 10.0  # seconds that a device may give no picture


def is_device(text: str) -> bool:
    """Return whether a source is written as a camera or a screen."""
    return re.match(r"(camera|screen):", text) is not None


def device_place(text: str, timeout: float | None = None) -> Place:
    """Return the place of a camera or a screen.

    Args:
        text: `camera:` and its number, path or name; `screen:` and its number or display; each may be followed by
            `?size=1280x720&fps=30`, of a camera also `format=mjpeg`, of a screen `area=x,y,width,height`.
        timeout: seconds that it may give no picture; None for 10.

    Raises:
        InputError: it is not there, or an option is none.
    """
    kind, _, rest = text.partition(":")
    which, _, query = rest.partition("?")
    asked = _options(text, kind, query)
    make = {"linux": _linux, "darwin": _mac, "win32": _windows}.get(sys.platform)
    if make is None:
        raise InputError(f"{text}: cameras and screens are read on Linux, macOS and Windows; give a file or an address")
    format, location, options = make(kind, which, asked)
    return Place(location, f"{kind}:{which}", "device", format, options, timeout or _SILENCE, live=True)


def _options(text: str, kind: str, query: str) -> dict[str, str]:
    known = [key for key in _KEYS if key != ("area" if kind == "camera" else "format")]
    asked = dict(parse_qsl(query, keep_blank_values=True))
    for key, value in asked.items():
        if key not in known:
            raise InputError(f"{text}: {key} is no option of a {kind}; it has {', '.join(known)}")
        if not re.fullmatch(_KEYS[key], value):
            raise InputError(f"{text}: {key} is {value!r}; write it as {key}={_LIKE[key]}")
    return asked


def _common(asked: dict[str, str]) -> dict[str, str]:
    names = {"size": "video_size", "fps": "framerate"}
    return {names[key]: value for key, value in asked.items() if key in names}


def _linux(kind: str, which: str, asked: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    options = _common(asked)
    if kind == "camera":
        path = Path(which if which.startswith("/") else f"/dev/video{which or 0}")
        if not path.exists():
            raise InputError(f"camera:{which} is not there ({path}): {_cameras('v4l2')}")
        if "format" in asked:
            options["input_format"] = asked["format"]
        return "v4l2", str(path), options
    display = f":{which}" if which.isdigit() else which or os.environ.get("DISPLAY", "")
    if not display:
        wayland = " (Wayland shows its screens to no other program)" if os.environ.get("WAYLAND_DISPLAY") else ""
        raise InputError(
            f"screen: has no display to show{wayland}: set DISPLAY, or name an X display such as screen::0"
        )
    if "area" in asked:
        x, y, width, height = asked["area"].split(",")
        return "x11grab", f"{display}+{x},{y}", options | {"video_size": f"{width}x{height}"}
    return "x11grab", display, options


def _mac(kind: str, which: str, asked: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    options = {"framerate": "30"} | _common(asked)
    if kind == "camera":
        if "format" in asked:
            options["pixel_format"] = asked["format"]
        return "avfoundation", f"{which or 0}:none", options
    if "area" in asked:
        raise InputError(f"screen:{which}: macOS gives whole screens; leave area out and choose with --roi")
    return "avfoundation", f"Capture screen {which or 0}:none", options | {"capture_cursor": "1"}


def _windows(kind: str, which: str, asked: dict[str, str]) -> tuple[str, str, dict[str, str]]:
    options = _common(asked)
    if kind == "camera":
        name = which
        if not which or which.isdigit():
            names = [found for found, _ in _found("dshow")]
            number = int(which or 0)
            if number >= len(names):
                raise InputError(f"camera:{which} is not there: {_cameras('dshow')}")
            name = names[number]
        if "format" in asked:
            options["vcodec"] = asked["format"]
        return "dshow", f"video={name}", options
    if "area" in asked:
        x, y, width, height = asked["area"].split(",")
        options |= {"offset_x": x, "offset_y": y, "video_size": f"{width}x{height}"}
    return "gdigrab", f"title={which}" if which and not which.isdigit() else "desktop", options


def _found(format: str) -> list[tuple[str, str]]:
    """Return name and description of the cameras that the system has."""
    try:
        devices = av.device.enumerate_input_devices(format)
    except (AttributeError, ValueError, av.FFmpegError):  # an older PyAV, a system without such devices
        devices = []
    return [(d.name, d.description) for d in devices if not d.media_types or "video" in d.media_types]


def _cameras(format: str) -> str:
    """Return which cameras are here, as the end of a message."""
    found = [f"{name} ({said})" if said and said != name else name for name, said in _found(format)]
    if not found and format == "v4l2":
        found = sorted(str(path) for path in Path("/dev").glob("video[0-9]*"))
    if not found:
        return "no camera is here; connect one, or give a file or an address"
    return f"here are {', '.join(found)}; give one of these as camera:NAME"
