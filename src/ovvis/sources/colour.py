"""Colours that an ordinary screen cannot show as they stand, HDR and wide gamuts, turned into those that it can.

A video's samples are signals; what light they stand for is said by its transfer function and its primaries, numbers of
ITU-T H.273. Ordinary video's differ too little to matter. Here are those that do, by the standards' own formulas.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Floats = NDArray[np.float64]

WHITE = 203.0
"""The light of a white page in HDR video, cd/m2 (BT.2408): an ordinary screen's white."""

HLG_PEAK = 1000.0
"""The light of HLG's nominal display at full signal, cd/m2 (BT.2100); also where PQ video does not say its own."""

PQ_PEAK = 10_000.0
"""The light of PQ's full signal, cd/m2 (BT.2100)."""

LINEAR, LOG, LOG_SQRT, SRGB, PQ, HLG = 8, 9, 10, 13, 16, 18  # transfer functions
UNTOLD = 2  # of any of them
BT709, BT470M, FILM, BT2020, DCI_P3, DISPLAY_P3 = 1, 4, 8, 9, 11, 12  # primaries

_TRANSFERS = {LINEAR: "linear", LOG: "log", LOG_SQRT: "log", PQ: "PQ", HLG: "HLG"}
_GAMUTS = {
    BT470M: "BT.470 M",
    FILM: "film",
    BT2020: "BT.2020",
    DCI_P3: "DCI-P3",
    DISPLAY_P3: "Display P3",
}

LUMINANCE = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
"""Shares of BT.2020's linear red, green and blue in luminance."""

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_POINTS = {  # x, y of red, green, blue and white
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    BT470M: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    FILM: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    DCI_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),
    DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a video's RGB signals stand for, where that is not what an ordinary screen shows."""

    transfer: int
    primaries: int
    peak: float  # the brightest light of the video, cd/m2

    @property
    def hdr(self) -> bool:
        """Whether it is brighter than an ordinary screen."""
        return self.transfer in (PQ, HLG)

    @property
    def names(self) -> str:
        """What it is called, such as "HLG, BT.2020"."""
        both = _TRANSFERS.get(self.transfer), _GAMUTS.get(self.primaries)
        return ", ".join(name for name in both if name)


def special(transfer: int, primaries: int, peak: float | None) -> Encoding | None:
    """Return what has to be converted, or None for the ordinary video that is shown as it stands.

    PQ and HLG without primaries have those of BT.2020, which their standard demands.

    Args:
        transfer: transfer characteristics, by ITU-T H.273; 2 where the file does not say.
        primaries: likewise.
        peak: the brightest light, cd/m2, as a PQ video states it; None where it does not.
    """
    transfer = transfer if transfer in (*_TRANSFERS, SRGB) else 0
    if primaries not in _POINTS:
        primaries = BT2020 if transfer in (PQ, HLG) and primaries == UNTOLD else BT709
    if transfer in (0, SRGB) and primaries == BT709:
        return None
    # A file that states less than a white page, or more than PQ can say, states nothing.
    stated = peak if transfer == PQ and peak is not None and WHITE <= peak <= PQ_PEAK else HLG_PEAK
    return Encoding(transfer, primaries, stated)


def to_screen(signal: Floats, encoding: Encoding) -> Floats:
    """Return what an ordinary screen (BT.709, BT.1886) takes to show RGB signals (..., 3) in [0, 1], in [0, 1].

    HDR is darkened by the curve of BT.2390, on the greatest of red, green and blue, so that hues stay; colours outside
    BT.709 are cut off at its border, as in BT.2407.
    """
    light = _light(signal, encoding) @ to_bt709(encoding.primaries).T
    if encoding.hdr:
        most = light.max(-1, keepdims=True)
        light = light * (tone(most, encoding.peak) / np.maximum(most, 1e-6))
    return _screen_signal(light / WHITE)


def _screen_signal(light: Floats) -> Floats:
    """Return the signal in [0, 1] for light in parts of white: the inverse EOTF of BT.1886."""
    return np.asarray(np.power(np.clip(light, 0, 1), 1 / 2.4))


def _light(signal: Floats, encoding: Encoding) -> Floats:
    """Return the light of signals on the display that they were made for, cd/m2."""
    match encoding.transfer:
        case 16:
            return pq_light(signal)
        case 18:
            return hlg_light(signal)
        case 8:
            light = signal
        case 9 | 10:
            decades = 2.0 if encoding.transfer == LOG else 2.5
            light = np.where(signal > 0, np.power(10, decades * (signal - 1)), 0)
        case 13:
            light = np.where(signal <= 0.04045, signal / 12.92, np.power((signal + 0.055) / 1.055, 2.4))
        case _:
            light = np.power(signal, 2.4)  # BT.1886
    return WHITE * light


def pq_light(signal: Floats) -> Floats:
    """Return the light, up to 10,000 cd/m2, of PQ signals in [0, 1]: the EOTF of BT.2100."""
    root = np.power(np.clip(signal, 0, 1), 32 / 2523)
    ratio = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
    return np.asarray(PQ_PEAK * np.power(ratio, 8192 / 1305))


def pq_signal(light: Floats | float) -> Floats:
    """Return the PQ signal in [0, 1] of light in cd/m2: the inverse of `pq_light`."""
    power = np.power(np.clip(np.asarray(light, np.float64) / PQ_PEAK, 0, 1), 1305 / 8192)
    return np.asarray(np.power((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power), 2523 / 32))


def hlg_light(signal: Floats) -> Floats:
    """Return the light, up to 1,000 cd/m2, of HLG signals (..., 3) in [0, 1]: the EOTF of BT.2100."""
    scene = hlg_scene(signal)
    return np.asarray(WHITE * hlg_gain(scene @ LUMINANCE)[..., None] * scene)


def hlg_scene(signal: Floats) -> Floats:
    """Return the light in [0, 1] before the camera of HLG signals in [0, 1]: the inverse OETF of BT.2100."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, np.square(signal) / 3, (np.exp((signal - c) / a) + b) / 12)


def hlg_gain(luminance: Floats) -> Floats:
    """Return what the display makes of one part of scene light, in parts of `WHITE`: the OOTF of BT.2100."""
    return np.asarray(HLG_PEAK / WHITE * np.power(luminance, 0.2))


def tone(light: Floats, peak: float) -> Floats:
    """Return what light up to `peak` becomes on a screen whose peak is `WHITE`, cd/m2: the EETF of BT.2390.

    Up to a knee nothing changes. A source that is no brighter than the screen is left alone.
    """
    full = float(pq_signal(peak))
    most = float(pq_signal(WHITE)) / full
    if most >= 1:
        return light
    knee = 1.5 * most - 0.5
    x = np.minimum(pq_signal(light) / full, 1)
    t = np.maximum((x - knee) / (1 - knee), 0)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return np.where(x < knee, light, pq_light(bent * full))


def to_bt709(primaries: int) -> Floats:
    """Return the matrix (3, 3) from linear RGB of some primaries to that of BT.709; white stays white."""
    source, target = _to_xyz(primaries), _to_xyz(BT709)
    cone_in, cone_out = _BRADFORD @ source.sum(1), _BRADFORD @ target.sum(1)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(cone_out / cone_in) @ _BRADFORD
    return np.asarray(np.linalg.inv(target) @ adapt @ source)


def _to_xyz(primaries: int) -> Floats:
    """Return the matrix (3, 3) from linear RGB to CIE XYZ, in which white has Y = 1."""
    *points, white = (np.array([x, y, 1 - x - y]) for x, y in _POINTS[primaries])
    columns = np.stack(points, axis=1)
    return np.asarray(columns * np.linalg.solve(columns, white / white[1]))


class _Curve:
    """A function of a positive number, sampled so closely in every octave that float32 hardly tells the difference.

    The samples lie at equal steps of the number's float32 bits, so that finding one takes a shift and no logarithm.
    """

    _SHIFT = 12  # of 23 bits of a float's fraction: 2,048 samples an octave

    def __init__(self, function: Callable[[Floats], Floats], octaves: tuple[int, int], dtype: DTypeLike) -> None:
        self._ends = np.float32(2.0 ** octaves[0]), np.float32(2.0 ** octaves[1])
        first, last = (int(end.view(np.int32)) for end in self._ends)
        bits = np.arange(first, last + 1, 1 << self._SHIFT, dtype=np.int32)
        middles = bits[:-1] + np.int32(1 << self._SHIFT - 1)  # of the numbers that share a sample
        self._first = np.int32(first)
        numbers = np.append(middles, bits[-1]).view(np.float32).astype(np.float64)
        self._samples = function(numbers).astype(dtype)

    def __call__(self, numbers: NDArray[np.float32]) -> NDArray[Any]:
        """Return the function of numbers, those outside the octaves moved to their ends."""
        places = np.clip(numbers, *self._ends).view(np.int32)
        places -= self._first
        places >>= self._SHIFT
        return np.asarray(self._samples.take(places))


class ToScreen:
    """`to_screen` for whole images: the same to one step in 255, a hundred times as fast.

    Args:
        encoding: what the signals stand for.
        full: the sample that is signal 1; greater ones count as it.
    """

    _BLOCK = 1 << 15  # pixels that stay in a processor's cache

    def __init__(self, encoding: Encoding, full: int = 65_535) -> None:
        signals = np.minimum(np.arange(1 << 16) / full, 1)
        self._hlg, self._hdr = encoding.transfer == HLG, encoding.hdr
        light = hlg_scene(signals) if self._hlg else _light(signals, encoding) / WHITE
        self._decode = light.astype(np.float32)
        self._system = _Curve(hlg_gain, (-24, 0), np.float32)
        self._matrix = to_bt709(encoding.primaries).astype(np.float32)
        # Below 2 ** -4 of white no curve bends.
        self._tone = _Curve(lambda x: tone(x * WHITE, encoding.peak) / (x * WHITE), (-4, 7), np.float32)
        self._encode = _Curve(lambda x: np.rint(255 * _screen_signal(x)), (-24, 0), np.uint8)

    def __call__(self, planes: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Return an image (H, W, 3) for an ordinary screen of samples in planes of red, green and blue (3, H, W)."""
        height, width = planes.shape[1:]
        signals = planes.reshape(3, -1)
        image = np.empty((height * width, 3), dtype=np.uint8)
        for start in range(0, height * width, self._BLOCK):
            part = slice(start, start + self._BLOCK)
            light = self._decode.take(signals[:, part])
            if self._hlg:
                light *= self._system(LUMINANCE @ light)
            light = self._matrix @ light
            if self._hdr:
                light *= self._tone(light.max(0))
            image[part] = self._encode(light).T
        return image.reshape(height, width, 3)
