"""Settings of the process that only a program may make, not a library."""

from __future__ import annotations

import logging
import sys
import warnings

from ovvis.errors import OvvisError
from ovvis.held_memory import most_held

IN_PART = 3
"""The exit code of a verb that could use its input in part, or make a part of what was asked: what there is stays."""


class Interrupted(OvvisError):  # noqa: N818  it is no error
    """Ctrl-C, or a polite end from outside, of work of which a part stays; the message says which and how to go on."""


def quiet_libraries() -> None:
    """Keep other libraries' warnings and logs off the terminal of a person who cannot mend them."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # Else a library's first word to the root logger lets all of them print there.
    logging.getLogger().addHandler(logging.NullHandler())
    ours = logging.getLogger("ovvis")
    if not ours.handlers:
        ours.addHandler(_Told())
        ours.setLevel(logging.INFO)
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)  # each retry; the last error is told


class _Told(logging.Handler):
    """Prints what the rooms below have to say as one line each."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        from ovvis.cli.console import note, warn

        (note if record.levelno < logging.WARNING else warn)(record.getMessage())


def peak_memory() -> str:
    """Return the most memory that the process has held so far, and of the GPU if it used one, as text."""
    parts = []
    if (held := most_held()) is not None:
        parts.append(f"{held / 2**30:.2f} GiB")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        parts.append(f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB of the GPU")
    return " and ".join(parts) or "unknown"
