"""What verbs that take a video ask of it: which of its frames, which part of them, how it is reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from ovvis.cli.options import completing
from ovvis.cli.segmenter import FRAMES, LevelsOption
from ovvis.sources.place import TRANSPORTS
from ovvis.sources.region import parse_region
from ovvis.sources.source import parse_span
from ovvis.sources.video import Source, open_source

STREAMS = "Cameras and streams"  # a group of `--help`

Every = Annotated[int, typer.Option("--every", help="Take each N-th frame.", rich_help_panel=FRAMES)]
Start = Annotated[
    str | None,
    typer.Option("--start", help="Begin here: seconds, mm:ss, or a frame as 120f.", rich_help_panel=FRAMES),
]
End = Annotated[str | None, typer.Option("--end", help="Stop before here.", rich_help_panel=FRAMES)]
Duration = Annotated[
    str | None,
    typer.Option("--duration", help="Take so much from the start on: written as --start.", rich_help_panel=FRAMES),
]
MaxFrames = Annotated[
    int | None, typer.Option("--max-frames", help="Take at most so many frames.", rich_help_panel=FRAMES)
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", help="Frames a second of a folder of frames; 24 if not given.", rich_help_panel=FRAMES),
]
Stream = Annotated[
    int | None,
    typer.Option(
        "--stream",
        help="Which of the file's video streams, from 0; its default one if not given.",
        rich_help_panel=FRAMES,
    ),
]
Roi = Annotated[
    str | None,
    typer.Option(
        "--roi",
        help="The part of the picture to look at, in pixels: x,y,width,height or a polygon 'x1,y1;x2,y2;x3,y3'.",
        metavar="PART",
        rich_help_panel=FRAMES,
    ),
]
Transport = Annotated[
    str | None,
    typer.Option(
        "--transport",
        help="How RTSP comes: tcp, udp, or auto (TCP where it can be had).",
        autocompletion=completing(lambda: TRANSPORTS),
        rich_help_panel=STREAMS,
    ),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        help="Seconds that a camera or an address may stay silent; 10, of files 30, if not given.",
        rich_help_panel=STREAMS,
    ),
]
Reconnect = Annotated[
    float | None,
    typer.Option(
        "--reconnect",
        help="Seconds to wait for a stream that broke off; 30 if not given, 0 does not wait.",
        rich_help_panel=STREAMS,
    ),
]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The options of a verb that takes a video, as typed; `sharing(SourceOptions)` gives them to a verb."""

    every: Every = 1
    start: Start = None
    end: End = None
    duration: Duration = None
    max_frames: MaxFrames = None
    fps: Fps = None
    stream: Stream = None
    levels: LevelsOption = None
    roi: Roi = None
    transport: Transport = None
    timeout: Timeout = None
    reconnect: Reconnect = None

    @property
    def bounded(self) -> bool:
        """Whether they end a source that does not end by itself."""
        return self.end is not None or self.duration is not None or self.max_frames is not None

    def check(self) -> None:
        """Refuse what no source could be opened with.

        Raises:
            InputError: names the value, the rule and the remedy.
        """
        if self.roi is not None:
            parse_region(self.roi)
        parse_span(self.every, self.start, self.end, self.max_frames, self.duration).check_order()

    def open(self, source: str) -> Source:
        """Return the frames of a source.

        Raises:
            InputError: it cannot be read so.
        """
        return open_source(
            source,
            every=self.every,
            start=self.start,
            end=self.end,
            duration=self.duration,
            max_frames=self.max_frames,
            fps=self.fps,
            stream=self.stream,
            levels=self.levels,
            roi=self.roi,
            transport=self.transport,
            timeout=self.timeout,
            reconnect=self.reconnect,
        )
