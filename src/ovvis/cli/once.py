"""Sources that do not end, as a verb reads them that wants a whole video: to the moment when it is told to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ovvis.cli.console import note
from ovvis.cli.stopping import STOPPING
from ovvis.sources.kept import KeptFrames
from ovvis.sources.newest import NewestFrames
from ovvis.sources.source import Source
from ovvis.structures import Frame


class _ToTheEnd(Source):
    """What was begun, up to Ctrl-C; says how many frames were left out where the reader was slower than a camera."""

    rereadable = False

    def __init__(self, source: Source) -> None:
        self.info, self.endless, self.live = source.info, source.endless, source.live
        self._source, self.notes = source, source.notes
        self.newest = NewestFrames(source, keep_up=source.live, paced=False, patience=math.inf)
        self.used, self.stopped = 0, False

    def stop(self) -> None:
        """End after the frame that is being worked on."""
        self.stopped = True
        self.newest.end()

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.newest:
            self.used += 1
            yield frame
        if self.stopped and not self.used:
            raise KeyboardInterrupt
        self.problem = self.newest.problem
        left = self.newest.left_out
        slow = f"{self.info.name} was faster than the network: {left} frames were left out, {self.used} used"
        self.notes = [*self._source.notes, *([slow] if left else [])]


@contextmanager
def from_first_to_last(source: Source, again: bool, kept: ExitStack) -> Iterator[Source]:
    """Give a source to read in the block; where it does not end, Ctrl-C in the block ends it, and what came stays.

    Args:
        source: any.
        again: whether its frames are wanted a second time, after the block.
        kept: what they lie in until then goes with it.
    """
    taken = source
    with ExitStack() as block:
        if source.endless:
            whole = _ToTheEnd(source)
            note(f"{source.info.name} has no end of its own: Ctrl-C ends it, and what was done stays.")
            block.enter_context(STOPPING.gently(whole.stop))
            block.callback(whole.newest.close)
            taken = whole
        if again and not source.rereadable:
            taken = kept.enter_context(KeptFrames(taken))
        yield taken
