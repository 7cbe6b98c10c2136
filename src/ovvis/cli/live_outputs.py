"""Where a live run's frames go: each output by itself, so that one that fails does not end the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ovvis import masks
from ovvis.cli.console import count, warn
from ovvis.errors import DISK_FULL
from ovvis.files.signals import uninterrupted
from ovvis.outputs.live_lines import Lines, end_line, frame_line, labels_line, start_line
from ovvis.outputs.render import Image, Painted, VideoWriter, paint
from ovvis.outputs.style import Style
from ovvis.outputs.webhook import Webhook
from ovvis.structures import LiveFrame, SourceInfo


class Output(Protocol):
    """One place that frames go to."""

    name: str  # as a person is told
    wants_picture: bool
    may_wait: bool  # for whoever reads it, without end

    def write(self, live: LiveFrame, picture: Image | None, latency: float) -> None:
        """Take a frame.

        Raises:
            OSError: it could not be written.
        """

    def close(self, figures: Mapping[str, Any], problem: str | None) -> None:
        """Take the end of the run, and let go."""

    def abandon(self) -> None:
        """Let go after an error; what was written stays usable."""


class PaintedVideo:
    """The painted video.

    Args:
        path: the file, which grows.
        info: of the source.
    """

    wants_picture = True
    may_wait = False

    def __init__(self, path: Path, info: SourceInfo) -> None:
        self.name = path.name
        self._writer = VideoWriter(path, info.fps, (info.height, info.width), info.pixel_aspect, growing=True)
        self._writer.__enter__()

    def write(self, live: LiveFrame, picture: Image | None, latency: float) -> None:  # noqa: ARG002
        """Append a picture."""
        assert picture is not None
        self._writer.write(picture, live.time)

    def close(self, figures: Mapping[str, Any], problem: str | None) -> None:  # noqa: ARG002
        """End the file."""
        self._writer.__exit__(None, None, None)

    def abandon(self) -> None:
        """Keep what is whole."""
        error = OSError()
        self._writer.__exit__(OSError, error, None)


class JsonLines:
    """Lines of JSON.

    Args:
        name: of the place.
        lines: the place.
        info: of the source.
        labels: the first.
        settings: what makes the results.
        masks: whether lines have masks.
    """

    wants_picture = False

    def __init__(
        self,
        name: str,
        lines: Lines,
        info: SourceInfo,
        labels: tuple[str, ...],
        settings: Mapping[str, Any],
        masks: bool,
    ) -> None:
        self.name, self.lines = name, lines
        self.may_wait = lines.may_wait
        self._labels, self._masks = labels, masks
        self._first: bytes | None = start_line(info, labels, settings)

    def write(self, live: LiveFrame, picture: Image | None, latency: float) -> None:  # noqa: ARG002
        """Append a frame's line."""
        if self._first is not None:
            self.lines.write(self._first)
            self._first = None
        if live.labels != self._labels:
            self._labels = live.labels
            self.lines.write(labels_line(live))
        self.lines.write(frame_line(live, latency, self._masks))

    def close(self, figures: Mapping[str, Any], problem: str | None) -> None:
        """Append the last line."""
        if self._first is None:
            self.lines.write(end_line(figures, problem))
        self.lines.close()

    def abandon(self) -> None:
        """Let go of the place."""
        self.lines.close()


class Outputs:
    """All outputs of a run. One that fails is told, left as it is, and counted; the others go on.

    Args:
        watched: called with each picture that somebody in a browser or a window wants.
        wanted: whether somebody does now.
        style: how pictures are painted.
    """

    def __init__(
        self, watched: Callable[[Image], None], wanted: Callable[[], bool], style: Style | None = None
    ) -> None:
        self._style = style
        self._watched, self._wanted = watched, wanted
        self._outputs: list[Output] = []
        self.failed: list[str] = []  # what is told of each that failed

    def add(self, output: Output) -> None:
        """Have an output take part."""
        self._outputs.append(output)

    @property
    def none_left(self) -> bool:
        """Whether there were outputs and all of them failed."""
        return bool(self.failed) and not self._outputs

    def picture(self, live: LiveFrame) -> Image | None:
        """Return a frame's painted picture, if any output wants it."""
        if not self._wanted() and not any(output.wants_picture for output in self._outputs):
            return None
        seen = [Painted(one.id, one.label, one.score, masks.decode(one.mask)) for one in live.instances]
        return paint(live.frame.image, seen, self._style)

    def write(self, live: LiveFrame, picture: Image | None, counted: Callable[[LiveFrame], float]) -> None:
        """Give a frame to all: to the files whole or not at all, whenever Ctrl-C comes.

        Args:
            live: the frame.
            picture: what `picture` returned for it.
            counted: counts the frame among those that were shown, and returns its latency in seconds.
        """
        with uninterrupted():
            latency = counted(live)
            self._write((output for output in self._outputs if not output.may_wait), live, picture, latency)
        if picture is not None:
            self._watched(picture)
        self._write((output for output in self._outputs if output.may_wait), live, picture, latency)

    def _write(self, outputs: Iterable[Output], live: LiveFrame, picture: Image | None, latency: float) -> None:
        for output in list(outputs):
            try:
                output.write(live, picture, latency)
            except OSError as error:
                self._lose(output, error)

    def close(self, figures: Mapping[str, Any], problem: str | None) -> None:
        """End all that are left."""
        for output in list(self._outputs):
            try:
                output.close(figures, problem)
            except OSError as error:
                self._lose(output, error)

    def lost_lines(self) -> list[str]:
        """Return what is to be told of addresses that did not take all lines."""
        hooks = [o.lines for o in self._outputs if isinstance(o, JsonLines) and isinstance(o.lines, Webhook)]
        lost = [hook for hook in hooks if hook.lost]
        return [f"{hook.url} {hook.trouble or 'was slow'}: {count(hook.lost, 'line')} lost" for hook in lost]

    def troubles(self) -> list[str]:
        """Return what addresses that do not take lines now do instead."""
        hooks = [o.lines for o in self._outputs if isinstance(o, JsonLines) and isinstance(o.lines, Webhook)]
        return [f"{hook.url} {hook.trouble}" for hook in hooks if hook.trouble]

    def _lose(self, output: Output, error: OSError) -> None:
        self._outputs.remove(output)
        with suppress(OSError):
            output.abandon()
        reason = "no space left on the disk" if error.errno in DISK_FULL else error.strerror or str(error)
        told = f"{output.name} took no more ({reason}); what was written stays usable"
        self.failed.append(told)
        warn(f"{told}, {'the others go on' if self._outputs else 'and nothing else was to be written'}")
