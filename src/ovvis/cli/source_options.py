"""What verbs that take a video ask of it: which of its frames, which part of them, how it is reached."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from ovvis.cli.options import completing, grouped
from ovvis.sources.on_gpu import check_decode
from ovvis.sources.place import TRANSPORTS
from ovvis.sources.region import parse_region
from ovvis.sources.source import parse_span
from ovvis.sources.video import Source, open_source

_frames, _streams = grouped("Which frames"), grouped("Cameras and streams")

Levels = Annotated[
    str | None,
    _frames(
        "--levels",
        help="Values that become black and white in images of more than 8 bits; what the files state if not given.",
        metavar="LOW,HIGH",
    ),
]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """The options of a verb that takes a video, as typed; `sharing(SourceOptions)` gives them to a verb."""

    every: Annotated[int, _frames(help="Take each N-th frame.")] = 1
    start: Annotated[str | None, _frames(help="Begin here: seconds, mm:ss, or a frame as 120f.")] = None
    end: Annotated[str | None, _frames(help="Stop before here.")] = None
    duration: Annotated[str | None, _frames(help="Take so much from the start on: written as --start.")] = None
    max_frames: Annotated[int | None, _frames(help="Take at most so many frames.")] = None
    fps: Annotated[float | None, _frames(help="Frames a second of a folder of frames; 24 if not given.")] = None
    stream: Annotated[
        int | None, _frames(help="Which of the file's video streams, from 0; its default one if not given.")
    ] = None
    levels: Levels = None
    roi: Annotated[
        str | None,
        _frames(
            help="The part of the picture to look at, in pixels: x,y,width,height or a polygon 'x1,y1;x2,y2;x3,y3'.",
            metavar="PART",
        ),
    ] = None
    decode: Annotated[
        str | None,
        _frames(
            help="What decodes a video file: cpu, or cuda for a GPU's own decoder, through torchcodec (docs/gpu.md).",
            autocompletion=completing(("cpu", "cuda")),
        ),
    ] = None
    transport: Annotated[
        str | None,
        _streams(
            help="How RTSP comes: tcp, udp, or auto (TCP where it can be had).",
            autocompletion=completing(TRANSPORTS),
        ),
    ] = None
    timeout: Annotated[
        float | None,
        _streams(help="Seconds that a camera or an address may stay silent; 10, of files 30, if not given."),
    ] = None
    reconnect: Annotated[
        float | None, _streams(help="Seconds to wait for a stream that broke off; 30 if not given, 0 does not wait.")
    ] = None

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
        check_decode(self.decode)
        parse_span(self.every, self.start, self.end, self.max_frames, self.duration).check_order()

    def open(self, source: str) -> Source:
        """Return the frames of a source.

        Raises:
            InputError: it cannot be read so.
        """
        return open_source(source, **asdict(self))
