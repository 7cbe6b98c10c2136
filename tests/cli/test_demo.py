"""The packaged video, and the words that it is asked about with."""

import sys
from collections import Counter

import pytest

from ovvis.cli import main as cli
from ovvis.cli.demo import ABSENT, THERE
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.paths import DEMO_VIDEO
from ovvis.sources.video import open_source
from ovvis.vocabulary import Vocabulary
from ovvis.world.categories import categories


def test_the_packaged_video():
    info = open_source(DEMO_VIDEO).info
    assert (info.height, info.width, info.frame_count, info.fps) == (320, 480, 216, 24)
    assert DEMO_VIDEO.stat().st_size < 1_000_000


def test_its_words():
    known = {category.name: category for category in categories()}
    there, absent = Vocabulary.parse(", ".join(THERE)).names, Vocabulary.parse(", ".join(ABSENT)).names
    assert set(there) | set(absent) <= known.keys() and not set(there) & set(absent)
    assert {known[name].split for name in there} == {"base", "novel"}


@pytest.mark.slow
def test_the_demo(monkeypatch, tmp_path, capsys):
    """All that is there is found, the penguin twice, and no word that is not there; who was away is known again."""
    monkeypatch.setattr(sys, "argv", ["ovvis", "demo", "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    assert not leave.value.code
    assert "illustrated objects" in capsys.readouterr().err
    result = load_tracks(tmp_path / "out" / "tracks.json")
    shown = result.best_tracks()
    names = Vocabulary.parse(", ".join(THERE)).names
    tracks = Counter(track.label for track in shown)
    assert tracks == {name: 2 if name == "penguin" else 1 for name in names}
    masks = {track.label: track.masks for track in shown}
    for name in ("owl", "airplane"):  # wholly hidden behind the fire truck in between; out of the picture in between
        assert masks[name][20] and not masks[name][110] and masks[name][200], name
    assert sum(map(bool, masks["octopus"])) > 200  # half hidden for two seconds
