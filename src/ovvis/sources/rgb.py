"""From a decoder's frames to 8-bit RGB as an ordinary screen shows it: matrix, range, HDR, wide gamuts."""

from __future__ import annotations

import struct
from typing import Any, final

import av
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from numpy.typing import NDArray

from ovvis.errors import InputError
from ovvis.sources.colour import BT709, BT2020, UNTOLD, Encoding, ToScreen, special

_BT601, _BY_PRIMARIES = 5, 12
_KNOWN = (1, 4, 5, 6, 7, 9)  # matrices that swscale has
_STRANGE = {
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "SMPTE 2085",
    12: "one derived from rare primaries",
    13: "one derived from primaries, with constant luminance",
    14: "ICtCp",
    15: "IPT-C2, Dolby Vision's own",
    16: "YCgCo-R",
    17: "YCgCo-R",
}


@final
class RgbFrames:
    """Turns a video's frames into RGB; keeps what is expensive to set up between them.

    Ordinary video goes through swscale alone, by the matrix and the range that the frame states; one without a matrix
    counts as BT.601, as for the ffmpeg command. HDR and wide gamuts become BT.709: see `colour`.

    Args:
        name: what messages call the video.
        first: the video's first frame, whose statement of the brightest light holds for the whole video.

    Attributes:
        notes: sentences on what was converted.
        converted: whether the first frame has colours that an ordinary screen does not show.

    Raises:
        InputError: its colours cannot be converted.
    """

    def __init__(self, name: str, first: av.VideoFrame) -> None:
        self._name = name
        self._peak = _peak(first)
        self._reformatter = VideoReformatter()
        self._converters: dict[tuple[Encoding, int], ToScreen] = {}
        self.notes: list[str] = []
        self._matrix(first)
        encoding = self._encoding(first)
        self.converted = encoding is not None
        self._note_of(encoding)
        if _is_bare_dolby_vision(first):
            self.notes.append(
                f"{name} is Dolby Vision of a kind (profile 5) whose colours need Dolby's own decoder: they are wrong"
                " here, and results will suffer; convert it to HDR10 or SDR first"
            )

    def __call__(self, frame: av.VideoFrame, height: int, width: int) -> NDArray[np.uint8]:
        """Return a frame as RGB (height, width, 3), resized if it has another size.

        Raises:
            InputError: its colours or its pixel format cannot be converted.
        """
        matrix, encoding = self._matrix(frame), self._encoding(frame)
        kind = "rgb24" if encoding is None else "gbrp16le"
        try:
            picture = self._reformatter.reformat(frame, width, height, kind, src_colorspace=matrix)
            if encoding is None:
                return picture.to_ndarray().astype(np.uint8, copy=False)
            planes: Any = picture.planes
            green, blue, red = (np.frombuffer(p, np.uint16).reshape(height, -1)[:, :width] for p in planes)
        except (av.FFmpegError, ValueError) as error:
            raise InputError(
                f"{self._name} has frames in the pixel format {frame.format.name}, which cannot be converted"
                f" ({' '.join(str(error).split())}): encode it again, for example as H.264"
            ) from error
        key = encoding, _full(frame)
        if key not in self._converters:
            self._note_of(encoding)
            self._converters[key] = ToScreen(*key)
        return self._converters[key](np.stack([red, green, blue]))

    def _encoding(self, frame: av.VideoFrame) -> Encoding | None:
        if frame.format.name.startswith("xyz"):
            return None  # digital cinema: swscale itself makes RGB of it
        untold = frame.color_primaries == UNTOLD
        primaries = BT2020 if untold and frame.colorspace == BT2020 else frame.color_primaries
        return special(frame.color_trc, primaries, self._peak)

    def _matrix(self, frame: av.VideoFrame) -> int:
        """Return the number of the matrix by which a frame's colours become RGB.

        Raises:
            InputError: no one here has it.
        """
        matrix = int(frame.colorspace)
        if matrix in _KNOWN or frame.format.is_rgb or frame.format.name.startswith("xyz"):
            return matrix
        if matrix == _BY_PRIMARIES and frame.color_primaries in (BT709, BT2020):
            return int(frame.color_primaries)  # those of H.273 for these primaries bear the same numbers
        if matrix in _STRANGE:
            raise InputError(
                f"{self._name} has colours by the matrix {_STRANGE[matrix]}, which cannot be converted: encode it"
                " again by BT.709, for example as H.264"
            )
        encoding = self._encoding(frame)
        return BT2020 if encoding is not None and encoding.primaries == BT2020 else _BT601

    def _note_of(self, encoding: Encoding | None) -> None:
        if encoding is None:
            return
        if encoding.hdr:
            note = f"{self._name} is HDR ({encoding.names}): converted to SDR"
        else:
            note = f"{self._name} has {encoding.names} colours: converted to BT.709"
        if note not in self.notes:
            self.notes.append(note)


def _full(frame: av.VideoFrame) -> int:
    """Return the 16-bit sample that swscale makes of full signal: it shifts bits to the left and repeats none."""
    kind = frame.format
    whole = kind.is_rgb or frame.color_range == ColorRange.JPEG or kind.name.startswith("yuvj")
    bits = min(kind.components[0].bits, 16) if whole else 8
    return ((1 << bits) - 1) << (16 - bits)


def _peak(frame: av.VideoFrame) -> float | None:
    """Return the brightest light that a frame's data state, cd/m2: of the content, else of the display it was made on.

    What they say may be nonsense: zero where a program did not know.
    """
    content = _side_data(frame, "CONTENT_LIGHT_LEVEL")
    if content is not None and len(content) >= 4 and (most := struct.unpack_from("=I", content)[0]):
        return float(most)
    display = _side_data(frame, "MASTERING_DISPLAY_METADATA")
    if display is not None and len(display) >= 88:
        # Eight fractions of primaries and white, then the least and the most light, then whether each is known.
        above, below, _, known = struct.unpack_from("=4i", display, 72)
        return above / below if known and below else None
    return None


def _is_bare_dolby_vision(frame: av.VideoFrame) -> bool:
    """Return whether a frame holds Dolby Vision without saying what an ordinary decoder should make of it."""
    dolby = _side_data(frame, "DOVI_METADATA") or _side_data(frame, "DOVI_RPU_BUFFER")
    return dolby is not None and frame.color_trc == UNTOLD and frame.colorspace == UNTOLD


def _side_data(frame: av.VideoFrame, kind: str) -> bytes | None:
    data: Any = frame.side_data.get(kind)
    return None if data is None else bytes(data)
