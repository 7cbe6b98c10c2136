"""Which videos a source stands for, and what their folders are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovvis.errors import InputError
from ovvis.sources.many import videos_of
from ovvis.sources.names import Names, distinct_names


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of videos, one of frames, one of folders of frames, one of both, and lists."""
    for name in (
        *("films/b10.mp4", "films/b2.MOV", "films/.hidden.mp4", "films/readme.txt", "films/old/c.mkv"),
        *("frames/1.png", "frames/2.png", "sets/x/1.jpg", "sets/y/1.jpg", "sets/empty/a.json"),
        *("both/1.png", "both/a.mp4"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    lines = ("# mine", "films/b2.MOV", "", " 'films/my dog.mp4' ", "https://a.org/x.mp4")
    (tmp_path / "list.txt").write_text("\n".join(lines), "utf-8-sig")
    (tmp_path / "live.m3u").write_text("#EXTM3U\n#EXTINF:-1,one\nfilms/b2.MOV\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected", "several", "name"),
    [
        (["films/b2.MOV"], ["films/b2.MOV"], False, "films"),
        (["films"], ["films/b2.MOV", "films/b10.mp4"], True, "films"),  # natural order; no hidden ones
        (["films/*.mp4"], ["films/b10.mp4"], True, "films"),  # a pattern means several, though one matches
        (["films/**/*"], ["films/b2.MOV", "films/b10.mp4", "films/old/c.mkv"], True, "films"),
        (["frames"], ["frames"], False, ""),
        (["frames/*.png"], ["frames/*.png"], False, ""),
        (["frames/%05d.png"], ["frames/%05d.png"], False, ""),
        (["both"], ["both"], False, ""),  # frames, and a line says that a video is left out
        (["sets"], ["sets/x", "sets/y"], True, "sets"),
        (["sets/*"], ["sets/x", "sets/y"], True, "sets"),
        (["films/b2.MOV", "frames"], ["films/b2.MOV", "frames"], True, ""),
        (["list.txt"], ["films/b2.MOV", "films/my dog.mp4", "https://a.org/x.mp4"], True, "list"),
        (["@list.txt"], ["films/b2.MOV", "films/my dog.mp4", "https://a.org/x.mp4"], True, "list"),
        (["live.m3u"], ["films/b2.MOV"], True, "live"),
        (["camera:0"], ["camera:0"], False, ""),
        (["-"], ["-"], False, ""),
        (["gone.mp4"], ["gone.mp4"], False, ""),
        (["gone*.mp4"], ["gone*.mp4"], False, ""),
    ],
)
def test_what_a_source_stands_for(home, given, expected, several, name) -> None:
    found = videos_of(given)
    assert (list(found.sources), found.several) == (expected, several) and len(found.sources) == len(expected)
    assert not several or found.home == (name or "videos")


def test_a_list_counts_from_its_own_folder(home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert videos_of([str(home / "list.txt")]).sources[0] == str(home / "films/b2.MOV")


def test_a_video_named_twice_is_done_once(home) -> None:
    found = videos_of(["films/b2.MOV", "films"])
    assert [*found.sources] == ["films/b2.MOV", "films/b10.mp4"]
    assert found.notes == ["named more than once, such as films/b2.MOV: each video is done once"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "names no video"),
        (b"# nothing\n\n", "names no video"),
        (b"\xff\xfe\0", "no text in UTF-8"),
        (b"camera:0\n", "camera:0, which does not end"),
        (b"#EXTM3U\n#EXT-X-VERSION:3\na.ts\n", "playlist of one stream"),
    ],
)
def test_lists_that_are_none(home, content, words) -> None:
    (home / "bad.txt").write_bytes(content)
    with pytest.raises(InputError, match=words):
        videos_of(["bad.txt"])
    with pytest.raises(InputError, match="cannot be read"):
        videos_of(["@gone.txt"])


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["a/dog.mp4", "b/cat.mp4"], ["dog", "cat"]),
        (["a/dog.mp4", "b/dog.mp4"], ["a-dog", "b-dog"]),
        (["a/dog.mp4", "a/dog.avi", "cat.mp4"], ["dog-mp4", "dog-avi", "cat"]),
        (["a/dog.mp4", "a/DOG.avi"], ["dog-mp4", "DOG-avi"]),  # one folder on many disks
        (["x/a/dog.mp4", "y/a/dog.mp4"], ["a-dog-mp4", "a-dog-mp4-2"]),
        (["http://a.org/1/v.mp4?k=1", "http://b.org/v.mp4"], ["a.org-1-v.mp4", "b.org-v.mp4"]),
        (["rtsp://me:secret@cam/live", "udp://@239.0.0.1:1234"], ["live", "239.0.0.1-1234"]),
    ],
)
def test_names(tmp_path, monkeypatch, sources, names) -> None:
    monkeypatch.chdir(tmp_path)
    found, notes = distinct_names(sources)
    assert found == names
    assert len(notes) == (names[0] not in ("dog", "live"))
    again, _ = distinct_names(sources[::-1])
    assert again == names[::-1]


parts_of_names = (["a", "b", "x/a"], ["dog", "DOG", "a-dog", "dog-mp4"], ["mp4", "avi"])


@given(st.lists(st.tuples(*map(st.sampled_from, parts_of_names)), max_size=9))
def test_names_of_a_list_are_those_of_all_at_once(parts) -> None:
    """Only what shares a name is held; the names are those that holding everything would give."""
    sources = list(dict.fromkeys(f"{folder}/{stem}.{kind}" for folder, stem, kind in parts))
    found = Names(sources)
    assert [found.of(text) for text in sources] == distinct_names(sources)[0]


def test_a_list_is_read_anew_and_not_held(home) -> None:
    (home / "many.txt").write_text("".join(f"films/{number}.mp4\n" for number in range(1000)) + "films/7.mp4\n")
    found = videos_of(["many.txt"])
    assert len(found.sources) == 1000 and list(found.sources)[-1] == "films/999.mp4" == found.sources[-1]
    assert found.notes == ["named more than once, such as films/7.mp4: each video is done once"]
    with (home / "many.txt").open("a") as file:
        file.write("films/late.mp4\n")
    with pytest.raises(InputError, match="was changed while it was read"):
        list(found.sources)
