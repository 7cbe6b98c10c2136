"""Measure what HDR costs a frame, and compare the conversion with ffmpeg's (zscale, tonemap) where ffmpeg is installed.

    python benchmarks/colour.py

The picture is 1920x1080: smooth colours under noise. Times are of one process, the median of some frames.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from statistics import median

import av
import numpy as np
from numpy.typing import NDArray

from ovvis.sources.colour import BT2020, HLG, PQ, WHITE, Floats, hlg_light, pq_light, special, to_bt709, to_screen
from ovvis.sources.rgb import RgbFrames

HEIGHT, WIDTH, ROUNDS = 1080, 1920, 15


def main() -> None:
    print(f"{WIDTH}x{HEIGHT}, ms a frame, and of processor time:")
    for name, kind, tags in (
        ("8 bits, BT.709", "yuv420p", (1, 1, 1)),
        ("10 bits, BT.709", "yuv420p10le", (1, 1, 1)),
        ("10 bits, BT.2020", "yuv420p10le", (9, 9, 14)),
        ("10 bits, HLG", "yuv420p10le", (9, 9, HLG)),
        ("10 bits, PQ", "yuv420p10le", (9, 9, PQ)),
    ):
        frame = picture(kind, *tags)
        rgb = RgbFrames("picture", frame)
        wall, processor = timed(lambda f=frame, r=rgb: r(f, HEIGHT, WIDTH))
        print(f"  {name:18} {1000 * wall:6.1f} {1000 * processor:6.1f}")
    if shutil.which("ffmpeg") is None:
        print("no ffmpeg command: not compared")
        return
    for transfer, name, light in ((HLG, "arib-std-b67", hlg_light), (PQ, "smpte2084", pq_light)):
        compare(transfer, name, light)


def picture(kind: str, matrix: int, primaries: int, transfer: int) -> av.VideoFrame:
    rng = np.random.default_rng(0)
    frame = av.VideoFrame(WIDTH, HEIGHT, kind)
    deep = frame.format.components[0].bits == 10
    for plane, (low, high) in zip(frame.planes, ((100, 800), (400, 600), (450, 650)), strict=True):
        row = np.linspace(low, high, plane.line_size // (2 if deep else 1))
        samples = np.clip(row + rng.normal(0, 8, (plane.height, len(row))), 0, 1023)
        plane.update((samples.astype("<u2") if deep else (samples / 4).astype(np.uint8)).tobytes())
    frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = matrix, 1, primaries, transfer
    return frame


def timed(work: Callable[[], object]) -> tuple[float, float]:
    work()
    walls, processors = [], []
    for _ in range(ROUNDS):
        wall, processor = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return median(walls), median(processors)


def compare(transfer: int, name: str, light: Callable[[Floats], Floats]) -> None:
    """Print how far the light lies from zscale's, and the pictures from those of ffmpeg's tone mapping."""
    steps = np.linspace(0, 1, 24)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    samples = np.round(cube * 65_535).astype("<u2")
    signals = samples / 65_535
    linear = f"zscale=t=linear:npl={WHITE:g}:agamma=0,format=gbrpf32le,zscale=p=bt709"
    ours = light(signals) @ to_bt709(BT2020).T
    theirs = ffmpeg(samples, name, linear) * WHITE
    off = np.abs(ours - theirs).max(-1) / np.maximum(np.abs(theirs).max(-1), 0.1)
    print(f"{name}: light in BT.709, of zscale's: at most {off.max():.1e} of a colour's brightest channel off")
    shown = to_screen(signals, special(transfer, BT2020, None))
    within = (theirs >= 0).all(-1)  # colours that BT.709 has
    dim = within & (theirs.max(-1) < 80)
    for curve in ("clip:peak=1", "mobius", "hable", "reinhard"):
        peak = "" if ":" in curve or transfer == HLG else f":peak={1000 / WHITE:.3f}"
        chain = f"{linear},tonemap={curve}:desat=0{peak},zscale=t=bt709"
        other = np.clip(ffmpeg(samples, name, chain), 0, 1)
        far = 255 * np.abs(shown - other).mean(-1)
        print(f"  {curve:12} {far[within].mean():5.1f} of 255 on average; {far[dim].mean():5.2f} below the knee")
    plain = 255 * np.abs(signals - shown).mean(-1)
    print(f"  {'unconverted':12} {plain[within].mean():5.1f}; {plain[dim].mean():5.2f}")


def ffmpeg(samples: NDArray[np.uint16], transfer: str, chain: str) -> Floats:
    """Return what filters make of RGB samples (N, 3): N, 3, linear or not as the filters leave it."""
    tags = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=gbr:range=pc,format=gbrp16le"
    call = ["ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb48le", "-s", f"{len(samples)}x1", "-i", "-"]
    call += ["-vf", f"{tags},{chain},format=gbrpf32le", "-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-"]
    out = subprocess.run(call, input=samples.tobytes(), capture_output=True, check=True).stdout
    green, blue, red = np.frombuffer(out, "<f4").reshape(3, -1).astype(np.float64)
    return np.stack([red, green, blue], -1)


if __name__ == "__main__":
    main()
