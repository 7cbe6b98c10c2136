"""Errors that a user can mend.

Their message is one line that names the value, the rule and the remedy. The command line prints that line
and nothing else; a program can catch `OvvisError`.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or a quota, that is full."""


class OvvisError(Exception):
    """Something outside the program is not as it must be; the message says what to change."""

    report: str | None = None
    """More lines, to be pasted where somebody is asked for help; the command prints them below the message."""


class InputError(OvvisError, ValueError):
    """A value, file or option given by the user cannot be used."""


class ResourceError(OvvisError, OSError):
    """The machine lacks something: disk space, a network, a permission."""


def nearest(name: str, choices: Iterable[str], count: int = 3) -> str:
    """Return a clause that lists the choices nearest to `name`, or all of them if nothing is near.

    >>> nearest("clip-vis-r5", ["clip-vis-r50", "clip-vis-convnext-b"])
    'did you mean clip-vis-r50 or clip-vis-convnext-b?'
    >>> nearest("zzz", ["a", "b"])
    'the choices are a, b'
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=count, cutoff=0.5)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"the choices are {', '.join(choices)}"
