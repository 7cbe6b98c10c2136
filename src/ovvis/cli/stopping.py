"""How the command ends when it is asked to: Ctrl-C, SIGTERM, or SIGHUP, which a closed terminal sends.

The first signal ends the work through `KeyboardInterrupt`, so that everything clears up behind itself; those that
follow while it does are passed over, and count again some seconds later. A signal that the one who started the
command wants ignored (nohup) stays so.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from ovvis.files.signals import ENDING

PATIENCE = 3.0  # seconds that clearing up may take before a further signal counts
NOTHING = "stopped; nothing was written"
_AGAIN = 0.05  # seconds; see `Stopping.swallowed`


class Stopping:
    """What a process has been asked."""

    def __init__(self) -> None:
        self._number: int | None = None  # the first signal
        self._raised: float | None = None  # when it last ended the work
        self._reading = 0  # > 0: modules are being imported, nothing else is under way
        self._over = False
        self._bound = False
        self._gently: Callable[[], None] | None = None  # what the first signal does instead of ending the work

    @property
    def code(self) -> int:
        """The exit code of a command that was stopped: 128 and the signal's number."""
        return 128 + (self._number or signal.SIGINT)

    def listen(self) -> None:
        """Take the signals from now on; once more begins anew."""
        self.forget()
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, self.came)
        if not self._bound:
            self._bound = True
            self._passed_on = sys.unraisablehook
            sys.unraisablehook = self._swallowed
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_leave_it_to_the_parent)

    def forget(self) -> None:
        """Forget what was asked, for another run in the same process."""
        self._number, self._raised, self._over = None, None, False

    def came(self, number: int, frame: FrameType | None = None) -> None:
        """End the work, unless it is ending."""
        del frame
        if self._over:
            return
        if self._reading:
            # An interrupt inside of an import comes out as any error; there is nothing yet to clear up.
            os.write(2, f"ovvis: {NOTHING}\n".encode())
            os._exit(128 + number)
        if self._gently is not None:
            act, self._gently = self._gently, None
            act()
            return
        now = time.monotonic()
        self.note(number)
        if self._raised is None or now - self._raised > PATIENCE:
            self._raised = now
            raise KeyboardInterrupt

    @contextmanager
    def gently(self, act: Callable[[], None]) -> Iterator[None]:
        """Have the first signal in the block do something else than end the work; a second one ends it.

        Args:
            act: what it does; it must take no time.
        """
        self._gently = act
        try:
            yield
        finally:
            self._gently = None

    def note(self, number: int) -> None:
        """Remember a signal that somebody else deals with."""
        self._number = self._number or number

    def over(self) -> None:
        """Pass over all further signals: the work is done."""
        if not self._over:
            # While it ends, Python gives signals back to the system, which ends a process that does not ignore them.
            atexit.register(_ignore)
        self._over = True

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Leave at once, without a trace, where a signal comes in the block: it only imports."""
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    def _swallowed(self, what: sys.UnraisableHookArgs) -> None:
        """Try again a moment later where Python could not raise the interrupt, as in a destructor."""
        if not issubclass(what.exc_type, KeyboardInterrupt):
            self._passed_on(what)
        elif hasattr(signal, "setitimer"):
            self._raised = None
            signal.signal(signal.SIGALRM, lambda *_: self.came(self._number or signal.SIGINT))
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def _ignore() -> None:
    for number in ENDING:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN)


def _leave_it_to_the_parent() -> None:
    """In a process that was forked to help: a terminal's signals reach the parent too, which ends its helpers."""
    for number in ENDING:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)


STOPPING = Stopping()
