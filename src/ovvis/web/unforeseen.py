"""What nobody foresaw: a visitor is told so in a line, and whoever looks after the server has the rest in its log."""

from __future__ import annotations

import sys
import traceback

from ovvis.errors import DISK_FULL

FULL = "the server's disk is full: try again later"


def told_unforeseen(error: Exception) -> str:
    """Print an error for whoever looks after the server, and return what a visitor is told of it."""
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return FULL
    traceback.print_exception(error, file=sys.stderr)
    return f"something went wrong that was not foreseen ({type(error).__name__}); the server's log has more"
