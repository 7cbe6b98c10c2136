"""Files decoded by a GPU's decoder: the frames that PyAV shows, or PyAV's with a note why.

torchcodec is stood in for by a decoder with its documented face; the last test takes itself, where it is installed.
"""

import struct
import sys
from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from clips import Clip, told
from ovvis.errors import InputError
from ovvis.sources.on_gpu import decoded_on
from ovvis.sources.video import open_source
from ovvis.sources.video_file import FileSource

GROUPS = {"g": "10", "bf": "3", "qp": "8"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return Clip("a.mp4", options=GROUPS).make(tmp_path_factory.mktemp("clips"))


class Decoder:
    """What torchcodec's `VideoDecoder` says it does, by PyAV."""

    def __init__(self, path, stream_index, change=lambda images: images, late=0.0, fewer=0, fails=None, fallback=False):
        with av.open(path) as file:
            stream = file.streams[stream_index]
            assert stream.type == "video"
            begin = float(min(p.pts for p in file.demux(stream) if p.size) * stream.time_base)
        frames = list(open_source(path))
        self.images, self.times = [f.image for f in frames], [begin + f.time for f in frames]
        self.change, self.late, self.fewer, self.fails, self.cpu_fallback = change, late, fewer, fails, fallback
        self.asked = []

    def __len__(self):
        return len(self.images) - self.fewer

    def get_frames_in_range(self, start, stop, step=1):
        self.asked.append(range(start, stop, step))
        if self.fails is not None and stop > self.fails:
            raise RuntimeError("NVDEC says no\nand where")
        images = self.change(np.stack(self.images[start:stop:step]))
        times = torch.tensor(self.times[start:stop:step], dtype=torch.float64)
        return SimpleNamespace(data=torch.from_numpy(images), pts_seconds=times + self.late * (start > 0))


def taken(path, options=None, **changes):
    """Return a source as it would be with a GPU, and the decoder."""
    made = []

    def opens(path, index, device):
        made.append(Decoder(path, index, **changes))
        return made[0]

    return decoded_on("cpu", open_source(path, **(options or {})), opens), made


def same(found, wanted):
    found, wanted = list(found), list(wanted)
    assert [(f.index, f.time) for f in found] == [(f.index, f.time) for f in wanted]
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


OPTIONS = [{}, {"every": 7}, {"max_frames": 11}, {"end": 1.5}, {"end": "33f", "every": 4, "max_frames": 6}]


@pytest.mark.parametrize("options", OPTIONS)
def test_the_frames_asked_for(path, options):
    source, (decoder,) = taken(path, options)
    usual = open_source(path, **options)
    assert not isinstance(source, FileSource) and source.rereadable
    assert source.notes == [
        "a.mp4 is decoded by cpu, whose colours may differ from the CPU's by rounding; damage inside of a frame's data "
        "is not told there"
    ]
    decoder.asked.clear()
    for _ in range(2):
        same(source, usual)
    asked = {index for part in decoder.asked for index in part}
    assert asked == {frame.index for frame in usual} and source.problem is None
    assert source.info.frame_count == len(asked)
    assert (source.info.fps, source.info.height, source.info.width) == (
        usual.info.fps,
        usual.info.height,
        usual.info.width,
    )
    assert told(source.frame(41).image) == 41


def test_a_clock_that_begins_late_and_goes_unevenly(tmp_path):
    clip = Clip("x.mkv", options=GROUPS, count=30, times=lambda k: 5000 + 40 * k + (700 if k > 20 else 0) + k % 3)
    source, _ = taken(clip.make(tmp_path))
    same(source, open_source(tmp_path / "x.mkv"))
    assert not isinstance(source, FileSource)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"fewer": 1}, "torchcodec counts 59 frames, PyAV 60"),
        ({"change": lambda x: np.where(x > 250, x, x + 5).astype(np.uint8)}, "frame 0 has other colours there, by 5.0"),
        ({"change": lambda x: x[..., ::-1].copy()}, "frame 0 has other colours there"),
        ({"change": lambda x: x[:, :-2]}, "its frames are 64x46 there, not 64x48"),
        ({"change": lambda x: x[:, ::-1].copy()}, "frame 0 has other colours there"),
        ({"change": lambda x: x[[1, 0, *range(2, len(x))]]}, "frame 0 has other colours there"),
        ({"fallback": True}, "its decoder does not take such a file (True)"),
        ({"fails": 3}, "NVDEC says no"),
    ],
)
def test_what_differs_is_not_taken(path, changes, why):
    source, _ = taken(path, **changes)
    assert isinstance(source, FileSource)
    (note,) = source.notes
    assert note.startswith(f"a.mp4 is decoded on the CPU, not by cpu: {why}")
    same(source, open_source(path))


@pytest.mark.parametrize(
    ("changes", "frame", "why"),
    [
        ({"fails": 24}, 24, "NVDEC says no"),
        ({"late": 0.01}, 8, "frame 8 is shown at 0.277 s there, not at 0.267 s"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"max_frames": 40}])
def test_what_fails_on_the_way_is_gone_on_with(path, changes, frame, why, options):
    source, _ = taken(path, options, **changes)
    same(source, open_source(path, **options))
    assert source.notes[1:] == [f"a.mp4: from frame {frame} on it is decoded on the CPU: {why}"]


def turned(path):
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 44
    data[at : at + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-2000])


ODD = {
    "turned": (Clip("a.mp4", options=GROUPS, after=turned), {}, "its pictures are turned"),
    "a later start": (Clip("a.mp4", options=GROUPS), {"start": 1}, "frames before the first one asked for"),
    "fields": (
        Clip("a.mp4", options=GROUPS | {"flags": "+ildct+ilme", "x264-params": "tff=1"}),
        {},
        "it is interlaced",
    ),
    "full chroma": (Clip("a.mp4", options=GROUPS, pixels="yuv444p"), {}, "its pixel format is yuv444p"),
    "ten bits": (Clip("a.mp4", options=GROUPS, pixels="yuv420p10le"), {}, "its pixel format is yuv420p10le"),
    "HDR": (
        Clip("a.mp4", options=GROUPS | {"color_trc": "smpte2084", "color_primaries": "bt2020"}),
        {},
        "its colours are converted",
    ),
    "cut off": (Clip("a.mkv", options=GROUPS, rate=Fraction(10), after=cut), {}, "it "),
    "a stream": (Clip("a.ts", options=GROUPS), {}, "not every packet of it is one frame with a time"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_may_be_shown_otherwise_is_left_to_pyav(kind, tmp_path):
    clip, options, why = ODD[kind]
    path = clip.make(tmp_path)
    source, made = taken(path, options)
    assert isinstance(source, FileSource) and not made
    assert source.notes[-1].startswith(f"{clip.name} is decoded on the CPU, not by cpu: {why}")
    same(source, open_source(path, **options))


def test_the_option(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec", None)
    source = open_source(path, decode="cuda", roi=(0, 0, 32, 32))
    assert "torchcodec is not installed, or does not work here" in source.notes[-1]
    assert source.opened_as["decode"] == "cuda" and source.info.region is not None
    assert open_source(path, decode="cpu").notes == []
    images = open_source(np.zeros((2, 8, 8, 3), np.uint8), decode="cuda:1")
    assert images.notes[-1].endswith(
        "is decoded on the CPU, not by cuda:1: only video files on this machine are decoded elsewhere"
    )
    with pytest.raises(InputError, match="decode is 'gpu': it must be cpu, cuda or cuda:N"):
        open_source(path, decode="gpu")


def test_torchcodec_itself(path):
    pytest.importorskip("torchcodec.decoders", exc_type=(ImportError, RuntimeError, OSError))
    source = decoded_on("cpu", open_source(path))
    assert not isinstance(source, FileSource), source.notes
    usual = list(open_source(path))
    found = list(source)
    assert [(f.index, f.time) for f in found] == [(f.index, f.time) for f in usual]
    assert [told(f.image) for f in found] == list(range(60))
