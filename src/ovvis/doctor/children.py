"""Work in processes of their own, which may crash, hang or print what they like; their lines of JSON come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from queue import Empty, Queue
from threading import Thread
from typing import Any

MARK = "ovvis-doctor:"  # before a line that is meant for the parent: libraries print, too


class Broken(Exception):  # noqa: N818  it says what befell
    """A process ended, or was ended, before it had said that all is done; the message says how."""


class Silent(Broken):
    """A process said nothing for too long: it hangs, or the machine is busy."""


def say(**told: Any) -> None:
    """Send a line to the parent, from a child."""
    print(MARK + json.dumps(told), flush=True)


def lines(module: str, words: Sequence[str], silence: float) -> Iterator[dict[str, Any]]:
    """Run a module of ours in a process of its own and yield what it says, as it comes.

    Args:
        module: run with `python -m`.
        words: its arguments.
        silence: seconds without a line, after which it is ended.

    Raises:
        Broken: it crashed or left with an error.
        Silent: it said nothing for so long.
    """
    command = [sys.executable, "-W", "ignore", "-m", module, *words]
    ours = [path or os.getcwd() for path in sys.path]  # what is imported here is what is looked at there  # noqa: PTH109
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(ours), "PYTHONUNBUFFERED": "1"}
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    came: Queue[bytes | None] = Queue()
    errors: list[bytes] = []
    Thread(target=_read, args=(child.stdout, came.put), daemon=True).start()
    listening = Thread(target=_read, args=(child.stderr, lambda line: errors.append(line or b"")), daemon=True)
    listening.start()
    try:
        while True:
            try:
                line = came.get(timeout=silence)
            except Empty:
                raise Silent(f"no answer within {silence:g} s") from None
            if line is None:
                break
            text = line.decode("utf-8", "replace")
            if text.startswith(MARK):
                yield json.loads(text.removeprefix(MARK))
        code = child.wait(timeout=silence)
        listening.join(timeout=1)
        if code:
            raise Broken(_ending(code, b"".join(errors)))
    finally:
        child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=1)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _read(pipe: Any, take: Any) -> None:
    with suppress(OSError, ValueError):  # it was closed: nobody waits any more
        for line in pipe:
            take(line)
    take(None)


def _ending(code: int, errors: bytes) -> str:
    """Return how a process ended: its last words, or the signal."""
    if code < 0:
        with suppress(ValueError):
            return f"the process crashed ({signal.Signals(-code).name})"
    said = [line for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    return f"the process left with code {code}{': ' + ' '.join(said[-1].split())[:200] if said else ''}"
