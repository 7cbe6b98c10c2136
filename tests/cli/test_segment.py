"""`ovvis segment` from its arguments to its files, and every way that its input can be bad."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from command import call
from fakes import build_tiny_ovformer
from ovvis.cli import segment as verb
from ovvis.cli import segmenter
from ovvis.inference import spill
from ovvis.models import load, measured, zoo
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.outputs.render import VideoWriter
from ovvis.results import video_folder

FRAMES = 5


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, 10.0, (64, 96)) as video:
        for _ in range(FRAMES):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    return path


def segment(monkeypatch: pytest.MonkeyPatch, source: object, output: Path, *more: object) -> int:
    return call(monkeypatch, "segment", source, "--labels", "dog, cat|kitten", "--output", output, *more)


def errors(capsys) -> list[str]:
    """Return the lines of standard error beside the note on what the packaged model knows."""
    return [line for line in capsys.readouterr().err.splitlines() if "illustrated objects" not in line]


def test_how_the_video_is_painted(quick, monkeypatch, clip, tmp_path, capsys):
    """Each option changes the pictures: fills that hide nothing are the video itself."""
    plain = ("--style", "fills", "--opacity", "0", "--no-names")
    styles = {
        "plain": plain,
        "filled": ("--style", "fills", "--opacity", "1", "--no-names"),
        "boxes": (*plain, "--boxes"),
        "names": plain[:-1],
    }

    def pictures(path):
        with av.open(str(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)

    painted, original = {}, pictures(clip)
    for name, options in styles.items():
        assert segment(monkeypatch, clip, tmp_path / name, "--paint-above", "0", *options) == 0
        painted[name] = np.abs(pictures(tmp_path / name / "overlay.mp4") - original).mean()
    assert painted["plain"] < 0.7 * min(painted[name] for name in ("filled", "boxes", "names"))
    for options, said in ((("--style", "mask"), "did you mean masks"), (("--opacity", "2"), "opacity 2")):
        assert segment(monkeypatch, clip, tmp_path / "out", *options) == 2 and not (tmp_path / "out").exists()
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(("name", "more", "said"), [("it", (), 2), ("it", ("--model", "it"), 0), ("other", (), 0)])
def test_the_small_default_says_what_it_knows_at_both_ends(
    quick, tiny_model, monkeypatch, clip, tmp_path, capsys, name, more, said
):
    monkeypatch.setitem(zoo.ZOO, "it", replace(zoo.ZOO["clip-vis-r50"], name="it"))
    monkeypatch.setattr(segmenter, "SMALL_MODEL", "it")
    monkeypatch.setattr(tiny_model, "name", name)
    assert segment(monkeypatch, clip, tmp_path / "out", "--no-video", *more) == 0
    lines = capsys.readouterr().err.splitlines()
    told = [number for number, line in enumerate(lines) if "520 kinds" in line and "--mirror" in line]
    assert len(told) == said and (not said or (told[0], told[-1]) == (0, len(lines) - 1))


def test_what_a_frame_took_is_kept_for_ovvis_models(quick, tiny_model, monkeypatch, tmp_path, capsys):
    source = tmp_path / "frames"
    source.mkdir()
    for number in range(measured.FEWEST):
        Image.new("RGB", (96, 64)).save(source / f"{number}.png")
    monkeypatch.setattr(tiny_model, "name", "clip-vis-stickers")
    for more in (("--short-edge", 32), ("--short-edge", 32, "--weights", tmp_path / "own.pth"), ("--max-frames", 2)):
        assert segment(monkeypatch, source, tmp_path / "out", "--no-video", "--overwrite", *more) == 0
    (one,) = measured.measured()
    assert (one.model, one.height, one.width, one.frames) == ("clip-vis-stickers", 32, 48, measured.FEWEST)
    capsys.readouterr()
    assert call(monkeypatch, "models") == 0
    assert "32x48, float32, cpu" in capsys.readouterr().out
    assert call(monkeypatch, "models", "--json") == 0
    (entry,) = [entry for entry in json.loads(capsys.readouterr().out) if entry["measured"]]
    assert entry["name"] == "clip-vis-stickers" and entry["measured"][0]["network_size"] == [32, 48]


def test_writes_results_that_other_programs_read(quick, monkeypatch, clip, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert segment(monkeypatch, clip, out, "--short-edge", 0, "--paint-above", 0) == 0
    assert sorted(p.name for p in out.iterdir()) == ["overlay.mp4", "tracks.json"]
    content = json.loads((out / "tracks.json").read_text())
    assert content["video"]["frames"] == list(range(FRAMES))
    assert content["settings"]["model"] and content["vocabulary"] == ["dog", "cat"]
    for track in content["tracks"]:
        assert track["category_id"] in (1, 2) and len(track["segmentations"]) == FRAMES
        for rle in filter(None, track["segmentations"]):
            assert coco.decode(rle).shape == (64, 96)
    with av.open(str(out / "overlay.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 96, 64)
        assert float(stream.average_rate) == 10.0
        assert sum(1 for _ in video.decode(stream)) == FRAMES
    printed = capsys.readouterr().out
    assert "score" in printed and f"{FRAMES} frames in" in printed and "network" in printed
    assert load_tracks(out / "tracks.json").labels == ("dog", "cat")


def test_options_reach_the_result(quick, monkeypatch, clip, tmp_path):
    out = tmp_path / "out"
    code = segment(
        monkeypatch,
        clip,
        out,
        "--short-edge",
        32,
        "--every",
        2,
        "--max-tracks",
        3,
        "--memory",
        2,
        "--matched",
        1,
        "--birth",
        0.4,
        "--no-video",
    )
    assert code == 0
    assert [p.name for p in out.iterdir()] == ["tracks.json"]
    content = json.loads((out / "tracks.json").read_text())
    assert content["video"]["frames"] == [0, 2, 4] and len(content["tracks"]) == 3
    assert content["settings"]["network_size"] == [32, 48]
    tracks = content["settings"]["tracks"]
    assert (tracks["memory"], tracks["birth"]) == (2, 0.4)
    again = ("--short-edge", 32, "--birth", 0, "--no-video", "--overwrite")
    assert segment(monkeypatch, clip, out, *again) == 0  # as released
    assert json.loads((out / "tracks.json").read_text())["settings"]["tracks"]["birth"] is None


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("my dog.mp4", "ovvis-my-dog"),
        ("日本.mp4", "ovvis-日本"),  # sources of different names have different folders
        ("frames/*.png", "ovvis-frames-.png"),
        ("~/dog.mp4", "ovvis-dog"),
    ],
)
def test_the_folder_of_a_source(source, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("my dog.mp4", "日本.mp4", "dog.mp4"):
        (tmp_path / name).touch()
    assert verb.default_output(source) == Path(folder)


def test_older_results_are_replaced_only_when_asked(quick, monkeypatch, clip, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("tracks.json", "overlay.mp4", "mine.txt"):
        (out / name).write_text("old")
    tiny = load.load_model
    monkeypatch.setattr(load, "load_model", lambda *args, **kwargs: pytest.fail("there was work"))
    assert segment(monkeypatch, clip, out, "--no-video") == 2
    line = capsys.readouterr().err.strip()
    assert str(out) in line and "tracks.json" in line and "--overwrite" in line and "\n" not in line
    assert {file.read_text() for file in out.iterdir()} == {"old"}
    monkeypatch.setattr(load, "load_model", tiny)
    assert segment(monkeypatch, clip, out, "--no-video", "--overwrite") == 0
    assert json.loads((out / "tracks.json").read_text())["format"] == "ovvis-tracks"
    assert sorted(file.name for file in out.iterdir()) == ["mine.txt", "tracks.json"]  # no video of other tracks
    assert (out / "mine.txt").read_text() == "old"


def test_videos_of_one_name_have_folders_of_their_own(quick, monkeypatch, clip, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "clip.mp4").write_bytes(clip.read_bytes())
        assert call(monkeypatch, "segment", f"{name}/clip.mp4", "--labels", "dog", "--no-video") == 0
    printed = capsys.readouterr().out.replace("\n", " ")
    assert "ovvis-clip is taken" in printed and "ovvis-clip-2" in printed
    assert (tmp_path / "ovvis-clip/tracks.json").exists() and (tmp_path / "ovvis-clip-2/tracks.json").exists()
    assert call(monkeypatch, "segment", "a/clip.mp4", "--labels", "cat", "--no-video", "--overwrite") == 0
    assert load_tracks(tmp_path / "ovvis-clip/tracks.json").labels == ("cat",)
    assert not (tmp_path / "ovvis-clip-3").exists()


def test_ctrl_c_after_the_results_are_in_place_says_so(quick, monkeypatch, clip, tmp_path, capsys):
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verb, "_show", stop)
    assert segment(monkeypatch, clip, tmp_path / "out", "--no-video") == 130
    assert f"the results are in {tmp_path / 'out'}, whole" in capsys.readouterr().err
    assert (tmp_path / "out/tracks.json").exists()


def test_a_video_that_breaks_off_is_used_as_far_as_it_goes(quick, monkeypatch, tmp_path, capsys):
    path, rng = tmp_path / "cut.mp4", np.random.default_rng(0)
    with VideoWriter(path, 10.0, (64, 96)) as video:
        for _ in range(40):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    out = tmp_path / "out"
    assert segment(monkeypatch, path, out, "--short-edge", 32) == 3
    content = json.loads((out / "tracks.json").read_text())
    assert 0 < len(content["video"]["frames"]) < 40 and content["problem"]
    assert "Used in part" in capsys.readouterr().err
    with av.open(str(out / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(content["video"]["frames"])


def test_a_phones_video_is_told_seen_and_painted_as_a_person_sees_it(quick, monkeypatch, tmp_path, capsys):
    """HDR and pixels that are not square: a line for the one; the painted video is as bright and as wide."""
    path = tmp_path / "phone.mp4"
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 18, "color_range": 1}
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p10le"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for tag, value in tags.items():
            setattr(stream.codec_context, tag, value)
        for i in range(FRAMES):
            frame = av.VideoFrame(96, 64, "yuv420p10le")
            for plane, level in zip(frame.planes, (721, 512, 512), strict=True):  # a white page
                plane.update(np.full(plane.buffer_size // 2, level, np.uint16).tobytes())
            frame.pts, frame.time_base = i, Fraction(1, 10)
            video.mux(stream.encode(frame))
        video.mux(stream.encode(None))
    out = tmp_path / "out"
    assert segment(monkeypatch, path, out, "--short-edge", 32, "--paint-above", 1) == 0
    note = "phone.mp4 is HDR (HLG, BT.2020): converted to SDR"
    assert capsys.readouterr().err.count(note) == 1
    content = json.loads((out / "tracks.json").read_text())
    assert content["notes"] == [note]
    assert content["video"]["pixel_aspect"] == [4, 3] and content["video"]["width"] == 96
    assert content["settings"]["network_size"] == [32, 64]
    with av.open(str(out / "overlay.mp4")) as video:
        stream = video.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (96, 64, Fraction(4, 3))
        frame = next(video.decode(stream))
        assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1, 1, 1, 1)
        assert frame.to_ndarray(format="rgb24").mean() == pytest.approx(230, abs=2)


def test_a_file_of_two_videos(quick, monkeypatch, tmp_path, capsys):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as video:
        streams = [video.add_stream("libx264", rate=10) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.height, stream.width, stream.pix_fmt, stream.disposition = 64, 96 + 32 * number, "yuv420p", number
        for _ in range(3):
            for stream in streams:
                video.mux(stream.encode(av.VideoFrame(stream.width, 64, "yuv420p")))
        for stream in streams:
            video.mux(stream.encode(None))
    assert segment(monkeypatch, path, tmp_path / "one") == 0
    assert "two.mkv has 2 video streams: number 1 is used" in capsys.readouterr().err
    assert load_tracks(tmp_path / "one" / "tracks.json").width == 128
    assert segment(monkeypatch, path, tmp_path / "other", "--stream", 0) == 0
    assert load_tracks(tmp_path / "other" / "tracks.json").width == 96
    assert segment(monkeypatch, path, tmp_path / "none", "--stream", 2) == 2
    assert "stream is 2: two.mkv has video streams 0 to 1" in capsys.readouterr().err


def test_frames_that_were_not_painted_are_told(quick, monkeypatch, clip, tmp_path, capsys):
    """A file that another program cuts between the two readings."""
    real = video_folder.render
    monkeypatch.setattr(
        video_folder, "render", lambda result, frames, *args, **more: real(result, [*frames][:3], *args, **more)
    )
    assert segment(monkeypatch, clip, tmp_path / "out", "--short-edge", 32) == 3
    assert "2 of the result's 5 frames did not come and were not painted" in capsys.readouterr().err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["overlay.mp4", "tracks.json"]


def test_results_are_in_place_before_anything_is_said(quick, monkeypatch, clip, tmp_path):
    """Whatever becomes of standard output, they stay."""
    seen = []
    monkeypatch.setattr(verb, "_show", lambda *args: seen.append(sorted(p.name for p in (tmp_path / "out").iterdir())))
    assert segment(monkeypatch, clip, tmp_path / "out", "--short-edge", 32) == 0
    assert seen == [["overlay.mp4", "tracks.json"]]


# Bad input: name -> (arguments made in a folder, what the one line must name).


def test_images_of_16_bits_and_what_is_said_of_them(quick, monkeypatch, tmp_path, capsys):
    frames = tmp_path / "thermal"
    frames.mkdir()
    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(2900, 3400, (64, 96)).astype(np.uint16)).save(frames / f"{k}.png")
    (frames / "a.heic").write_bytes(b"")
    assert segment(monkeypatch, frames, tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "16-bit integer values from 2900 to 3399" in told and "--levels 2900,3399" in told
    assert segment(monkeypatch, frames, tmp_path / "out", "--levels", "2900,3399") == 0
    assert capsys.readouterr().err.count("left out: 1 .heic") == 1
    assert len(load_tracks(tmp_path / "out" / "tracks.json").frame_indices) == 3
    assert segment(monkeypatch, frames, tmp_path / "out", "--levels", "5") == 2


def test_an_animated_image_that_breaks_off(quick, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8)) for _ in range(4)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 300, 100, 100])
    assert segment(monkeypatch, tmp_path / "a.gif", tmp_path / "out") == 0
    result = load_tracks(tmp_path / "out" / "tracks.json")
    assert (result.frame_indices, result.frame_times) == ([0, 1, 2, 3], pytest.approx([0, 0.1, 0.4, 0.5]))
    data = (tmp_path / "a.gif").read_bytes()
    (tmp_path / "a.gif").write_bytes(data[: len(data) * 2 // 3])
    assert segment(monkeypatch, tmp_path / "a.gif", tmp_path / "out", "--overwrite") == 3


def _text_file(folder: Path) -> list[object]:
    (folder / "a.mp4").write_text("no video")
    return [folder / "a.mp4", "--labels", "dog"]


def _audio_only(folder: Path) -> list[object]:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return [path, "--labels", "dog"]


def _bad_frame(folder: Path) -> list[object]:
    frames = folder / "frames"
    frames.mkdir()
    Image.new("RGB", (96, 64)).save(frames / "1.png")
    (frames / "2.png").write_bytes(b"not an image")
    return [frames, "--labels", "dog"]


def _frames(folder: Path) -> Path:
    frames = folder / "frames"
    frames.mkdir()
    Image.new("RGB", (96, 64)).save(frames / "1.png")
    return frames


def _empty_folder(folder: Path) -> list[object]:
    (folder / "empty").mkdir()
    return [folder / "empty", "--labels", "dog"]


def _output_is_a_file(folder: Path) -> list[object]:
    (folder / "taken").write_text("")
    return [_frames(folder), "--labels", "dog", "--output", folder / "taken"]


def _weights(name: str, content: bytes | None):
    def make(folder: Path) -> list[object]:
        path = folder / name
        if content is not None:
            path.write_bytes(content)
        return [_frames(folder), "--labels", "dog", "--weights", path]

    return make


class _Attack:
    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def _code(folder: Path) -> list[object]:
    torch.save({"model": _Attack(str(folder / "hacked"))}, folder / "evil.pth")
    return [_frames(folder), "--labels", "dog", "--weights", folder / "evil.pth"]


def _other_model(folder: Path) -> list[object]:
    torch.save({"model": {"sem_seg_head.predictor.class_embed.weight": torch.zeros(3, 3)}}, folder / "other.pth")
    return [_frames(folder), "--labels", "dog", "--weights", folder / "other.pth"]


def _truncated(folder: Path) -> list[object]:
    torch.save({"model": {"sem_seg_head.predictor.query_feat.weight": torch.zeros(100, 256)}}, folder / "cut.pth")
    data = (folder / "cut.pth").read_bytes()
    (folder / "cut.pth").write_bytes(data[: len(data) // 2])
    return [_frames(folder), "--labels", "dog", "--weights", folder / "cut.pth"]


BAD = {
    "no such file": (lambda f: [f / "gone.mp4", "--labels", "dog"], "gone.mp4"),
    "not a video": (_text_file, "a.mp4"),
    "no frames": (_audio_only, "sound.mp4"),
    "empty folder": (_empty_folder, "empty"),
    "empty labels": (lambda f: [_frames(f), "--labels", " "], "vocabulary is empty"),
    "empty label": (lambda f: [_frames(f), "--labels", "dog,,cat"], "label 2 is empty"),
    "duplicate label": (lambda f: [_frames(f), "--labels", "dog, Dog"], "'dog'"),
    "unknown list": (lambda f: [_frames(f), "--labels", "lvis"], "lvis_v1"),
    "no labels file": (lambda f: [_frames(f), "--labels", f"@{f}/gone.txt"], "gone.txt"),
    "no labels": (lambda f: [_frames(f)], "--labels"),
    "nothing is painted": (lambda f: [_frames(f), "--labels", "dog", "--paint-above", "nan"], "--paint-above nan"),
    "unknown model": (lambda f: [_frames(f), "--labels", "dog", "--model", "clip-vis-r5"], "clip-vis-r50"),
    "no checkpoint": (_weights("gone.pth", None), "gone.pth"),
    "empty checkpoint": (_weights("empty.pth", b""), "empty.pth"),
    "text checkpoint": (_weights("text.pth", b"hello, this is text"), "text.pth"),
    "damaged safetensors": (_weights("bad.safetensors", b"\x08\0\0\0\0\0\0\0{"), "bad.safetensors"),
    "truncated checkpoint": (_truncated, "cut.pth"),
    "pickle with code": (_code, "would execute code"),
    "other model's checkpoint": (_other_model, "class_embed"),
    "output is a file": (_output_is_a_file, "taken"),
    "bad number": (lambda f: [_frames(f), "--labels", "dog", "--every", "0"], "every"),
    "end before start": (lambda f: [_frames(f), "--labels", "dog", "--start", "5", "--end", "2"], "end"),
    "bad time": (lambda f: [_frames(f), "--labels", "dog", "--start", "soon"], "soon"),
    "bad device": (lambda f: [_frames(f), "--labels", "dog", "--device", "tpu9"], "tpu9"),
    "bad precision": (lambda f: [_frames(f), "--labels", "dog", "--precision", "float8"], "float8"),
    "bad option": (lambda f: [_frames(f), "--labels", "dog", "--colour"], "--colour"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(name, monkeypatch, tmp_path, capsys):
    make, named = BAD[name]
    monkeypatch.chdir(tmp_path)
    arguments = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert call(monkeypatch, "segment", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("ovvis: ") and "\n" not in error and named in error
    assert sorted(tmp_path.rglob("*")) == before  # nothing written, nothing executed


def test_an_unreadable_frame_is_named(quick, monkeypatch, tmp_path, capsys):
    frames = _bad_frame(tmp_path)[0]
    assert segment(monkeypatch, frames, tmp_path / "out") == 2
    [error] = errors(capsys)
    assert "2.png" in error
    assert not (tmp_path / "out").exists()


def test_bad_numbers(quick, monkeypatch, clip, tmp_path, capsys):
    for option, value in (
        ("--memory", 0),
        ("--momentum", 2),
        ("--birth", 3),
        ("--min-score", 2),
        ("--max-tracks", 0),
        ("--short-edge", 5),
        ("--short-edge", -1),
        ("--long-edge", 8),
        ("--matched", 0),
        ("--batch", 0),
    ):
        assert segment(monkeypatch, clip, tmp_path / "out", option, value) == 2
        [error] = errors(capsys)
        assert option[2:] in error.replace("_", "-")
        assert not (tmp_path / "out").exists()


def test_label_too_long_for_the_text_tower(quick, monkeypatch, clip, tmp_path, capsys):
    assert call(monkeypatch, "segment", clip, "--labels", "very " * 90 + "old dog", "--output", tmp_path / "o") == 2
    assert "shorten it" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["spill", "tracks", "video"])
def test_no_space_left(place, quick, monkeypatch, clip, tmp_path, capsys):
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if place == "spill":
        monkeypatch.setattr(spill.tempfile, "SpooledTemporaryFile", lambda **kwargs: _FullFile())
    else:
        monkeypatch.setattr(video_folder, {"tracks": "save_tracks", "video": "render"}[place], full)
    assert segment(monkeypatch, clip, tmp_path / "out") == 2
    [error] = errors(capsys)
    assert "no space left" in error
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


class _FullFile:
    def seek(self, place: int) -> None: ...

    def write(self, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def close(self) -> None: ...


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stopped_in_the_middle_leaves_nothing(number, tmp_path, clip):
    """The real command in a process of its own, stopped while frames go through the network."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "OVVIS_CACHE": str(tmp_path / "cache")}
    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(400):
        Image.new("RGB", (96, 64), (i % 255, 0, 0)).save(frames / f"{i}.png")
    command = [sys.executable, "-m", "ovvis", "segment", str(frames), "--labels", "dog", "--weights", "untrained"]
    process = subprocess.Popen(
        [*command, "--output", str(tmp_path / "out")], env=environment, stderr=subprocess.PIPE, text=True
    )
    cache, deadline = tmp_path / "cache" / "text_embeddings.sqlite", time.time() + 120
    while not cache.exists() and time.time() < deadline:
        time.sleep(0.1)
    time.sleep(2)  # the text is done: frames are under way
    assert process.poll() is None, "it ended before it could be stopped"
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert error.strip().splitlines()[-1] == "ovvis: stopped; nothing was written"
    assert "Traceback" not in error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "clip.mp4", "frames", "tmp"]
    assert not [p for p in temporary.iterdir() if p.name.startswith("tmp")]


@pytest.mark.parametrize(("given", "window"), [((), 3), (("--window", 2), 2), (("--window", 0), None)])
def test_windows(monkeypatch, clip, tmp_path, given, window):
    monkeypatch.setattr(load, "load_model", lambda *args, **kwargs: build_tiny_ovformer())
    out = tmp_path / "out"
    assert segment(monkeypatch, clip, out, "--model", "ovformer-r50", "--no-video", *given) == 0
    written = json.loads((out / "tracks.json").read_text())
    assert written["settings"]["tracks"]["window"] == window
    assert len(load_tracks(out / "tracks.json").frame_indices) == FRAMES


def test_a_window_that_the_model_cannot_name(monkeypatch, capsys, clip, tmp_path, quick):
    assert segment(monkeypatch, clip, tmp_path / "out", "--window", 3) == 2
    assert "leave its window at 1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--model", "clip-vis-r50"), "--labels is missing"),
        (("--model", "ovformer-r50", "--weights", "untrained"), "--labels is missing"),
        (("--model", "ovformer-r50", "--text-embeddings", "x.npy"), "give --labels too"),
    ],
)
def test_labels_that_nothing_brings(monkeypatch, capsys, clip, tmp_path, more, said):
    assert call(monkeypatch, "segment", clip, "--output", tmp_path / "out", *more) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()
