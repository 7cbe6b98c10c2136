"""The newest frame of a source that goes on by itself: what a camera shows now, not what it showed a while ago."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from typing import final

from ovvis.errors import InputError, OvvisError
from ovvis.sources.source import Source
from ovvis.structures import Frame

_CLOSING = 2.0  # seconds that a read in progress gets to end
_GLANCE = 0.1  # seconds between two looks at the clock while no frame comes


@final
class NewestFrames(Source):
    """A source read in a thread of its own; whoever asks gets the newest frame, and is told how many were left out.

    Args:
        source: any; it is read once.
        keep_up: whether frames are left out where the reader is slower than the source; else the source waits.
        paced: whether frames come no earlier than their times say, as from a camera. None paces what could be read
            as fast as one likes (files, folders, arrays, pipes), and leaves cameras and iterators their own pace.
        patience: seconds without a frame after which the source counts as stopped.

    Attributes:
        left_out: frames left out so far.

    Raises:
        InputError: `patience` is not above 0.
    """

    rereadable = False

    def __init__(
        self, source: Source, *, keep_up: bool = True, paced: bool | None = None, patience: float = 60.0
    ) -> None:
        if not patience > 0:
            raise InputError(f"patience {patience:g}: it must be seconds above 0")
        self.info = source.info
        self.left_out = 0
        self._source, self._keep_up, self._patience = source, keep_up, patience
        self._paced = (source.rereadable or (source.endless and not source.live)) if paced is None else paced
        self._stop = threading.Event()
        self._turn = threading.Condition()
        self._here: tuple[Frame, float, int] | None = None  # the newest frame, when it came, how many came before it
        self._came = self._taken = 0
        self._last = time.monotonic()  # when a frame came, or the source was begun
        self._ended, self._error = False, None  # type: bool, BaseException | None
        self._arrival: tuple[float, int] = self._last, 0
        self._thread = threading.Thread(target=self._read, name="ovvis-source", daemon=True)

    @property
    def arrival(self) -> tuple[float, int]:
        """When the frame that was given last came from the source (`time.monotonic`), and how many were left out."""
        return self._arrival

    @property
    def silent_for(self) -> float:
        """Seconds since a frame came from the source."""
        return time.monotonic() - self._last

    def __iter__(self) -> Iterator[Frame]:
        """Begin to read.

        Raises:
            InputError: it was read before; or the source cannot be used and gave no frame at all. Where it gave some,
                the frames end and `problem` says why.
        """
        if self._thread.ident is not None:
            raise InputError(f"{self.info.name} was read before: open the source again")
        self._last = time.monotonic()
        self._thread.start()
        return self._frames()

    def end(self) -> None:
        """Give no further frame; takes no time, so that a signal may ask for it."""
        self._stop.set()

    def close(self) -> None:
        """Let go of the source. A read that does not come back is left to itself."""
        self._stop.set()
        with self._turn:
            self._turn.notify_all()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSING)

    def _frames(self) -> Generator[Frame]:
        try:
            while (taken := self._take()) is not None:
                yield taken
        finally:
            self.close()
            if self.problem is None and self._ended:
                self.problem = self._source.problem
            self.notes = self._source.notes

    def _take(self) -> Frame | None:
        """Return the newest frame once there is one; None at the end."""
        with self._turn:
            while self._here is None and not self._ended and not self._stop.is_set():
                self._turn.wait(_GLANCE)
                if self._here is None and self.silent_for > self._patience:
                    self.problem = f"{self.info.name} gave no frame for {self._patience:g} s and was left"
                    if not self._taken:
                        raise InputError(f"{self.problem}: check that it runs, or wait longer")
                    return None
            if self._stop.is_set() and not self._ended:
                return None
            if self._here is not None:
                frame, came, number = self._here
                skipped = number - self._taken
                self._here, self._taken = None, number + 1
                self._arrival = came, skipped
                self.left_out += skipped
                self._turn.notify_all()
                return frame
        if self._error is not None:
            if not self._taken or not isinstance(self._error, OvvisError):
                raise self._error
            self.problem = str(self._error)
        return None

    def _read(self) -> None:
        """Read the source to its end, in the thread."""
        frames = iter(self._source)
        begun: tuple[float, float] | None = None  # by the clock, and by the frames
        try:
            for frame in frames:
                now = time.monotonic()
                if begun is None or frame.time < begun[1]:
                    begun = now, frame.time
                early = begun[0] + frame.time - begun[1] - now
                if self._paced and early > 0:
                    self._stop.wait(early)
                if self._stop.is_set():
                    break
                self._give(frame)
        except BaseException as error:  # told in the thread that asks
            self._error = error
        finally:
            if isinstance(frames, Generator):
                frames.close()
            with self._turn:
                self._ended = True
                self._turn.notify_all()

    def _give(self, frame: Frame) -> None:
        with self._turn:
            self._last = time.monotonic()
            while not self._keep_up and self._here is not None and not self._stop.is_set():
                self._turn.wait(_GLANCE)
            self._last = time.monotonic()
            self._here = frame, self._last, self._came
            self._came += 1
            self._turn.notify_all()
