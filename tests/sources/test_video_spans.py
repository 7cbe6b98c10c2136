"""Whatever part of a video is asked for, what comes is a filter of the whole, in index, time and pixels."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clips import Clip, clips, told
from ovvis.errors import InputError
from ovvis.sources import video_file
from ovvis.sources.source import parse_span
from ovvis.sources.video import open_source
from ovvis.structures import Frame

SPANS = int(os.environ.get("OVVIS_SPANS", "28"))  # of each file; more of them for a longer run
# What ffmpeg itself makes of these files' times is not even: program streams store few of them.
ROUGH = {"mpeg2.mpg"}
# Files that are entered at a keyframe near the start; all others are read from their beginning.
ENTERED = {".mp4", ".mkv", ".mov", ".webm"}
NEVER = {"vp8.webm", "mpeg4.mp4", "x264_fields.mp4", "x264_refresh.mp4", "av1_open.mkv"}


def some_span(dice: random.Random, times: list[float]) -> dict[str, Any]:
    def moment() -> float | str:
        k = dice.randrange(len(times) + 3)
        return dice.choice([f"{k}f", times[min(k, len(times) - 1)], round(dice.uniform(0, 1.05 * times[-1]), 3)])

    options: dict[str, Any] = {"start": moment()} if dice.random() < 0.9 else {}
    if dice.random() < 0.4:
        options["end"] = moment()
    if dice.random() < 0.4:
        options["every"] = dice.randrange(1, 8)
    if dice.random() < 0.5:
        options["max_frames"] = dice.randrange(1, 9)
    return options


def filtered(frames: list[Frame], options: dict[str, Any]) -> list[Frame]:
    span = parse_span(options.get("every", 1), options.get("start"), options.get("end"), options.get("max_frames"))
    chosen = [f for f in frames if span.start is None or span.start.reached(f.index, f.time)]
    chosen = [f for f in chosen if span.end is None or not span.end.reached(f.index, f.time)]
    return chosen[:: span.every][: span.max_frames]


def check_spans(path: Path, frames: list[Frame], number: int) -> None:
    dice = random.Random(path.name)
    times = [f.time for f in frames]
    for _ in range(number):
        options = some_span(dice, times)
        expected = filtered(frames, options)
        try:
            got = list(open_source(path, **options))
        except InputError:
            got = []
        assert [(f.index, f.time) for f in got] == [(f.index, f.time) for f in expected], options
        for one, other in zip(got, expected, strict=True):
            assert np.array_equal(one.image, other.image), (options, one.index)


@pytest.mark.parametrize("clip", clips(), ids=lambda clip: clip.name)
def test_spans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Clip) -> None:
    """Over a thousand spans in all."""
    monkeypatch.setenv("SVT_LOG", "1")
    path = clip.make(tmp_path)
    source = open_source(path)
    frames = list(source)
    assert [f.index for f in frames] == [told(f.image) for f in frames] == list(range(clip.count))
    assert source.problem is None and source.info.fps == pytest.approx(float(clip.rate), rel=0.001 + bool(clip.times))
    for k, frame in enumerate(frames):
        due = (clip.times(k) - clip.times(0)) / 1000 if clip.times else float(k / clip.rate)
        assert frame.time == pytest.approx(due, abs=0.0015 if clip.name not in ROUGH else 0.07)

    entries: list[object] = []
    find = video_file.find_entry

    def noted(*args: Any) -> object:
        entries.append(find(*args))
        return entries[-1]

    monkeypatch.setattr(video_file, "find_entry", noted)
    check_spans(path, frames, SPANS)
    if path.suffix not in ENTERED:
        assert not any(entries)
    elif clip.name not in NEVER:
        assert any(entries)


def test_enough_spans() -> None:
    assert 28 * len(clips()) > 1000
