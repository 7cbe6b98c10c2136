from dataclasses import replace

import pytest

from ovvis.errors import InputError
from ovvis.models.settings import VideoSettings
from ovvis.reproduction.parts import Part, Parts, way_key
from ovvis.reproduction.rows import Way

WAY = Way(VideoSettings())
OTHERS = [
    replace(WAY, pooling="mean"),
    replace(WAY, one_label=True),
    replace(WAY, given=frozenset({"names"})),
    replace(WAY, given=frozenset({"names", "masks"})),
    Way(replace(VideoSettings(), memory=8)),
]


def test_ways_are_told_apart():
    keys = [way_key(way) for way in (WAY, *OTHERS)]
    assert len(set(keys)) == len(keys)
    assert way_key(Way(VideoSettings())) == keys[0]
    assert way_key(replace(WAY, given=frozenset({"masks", "names"}))) == keys[4]


def test_what_is_written_is_read(tmp_path):
    parts = Parts(tmp_path, {"weights": "abc", "seed": 2})
    assert parts.read(3) == Part() and Part().lacks(WAY)
    rows, pairs = ((4, 0, 0.1, 12.5), (4, 2, 1 / 3, 0.0)), ((1, 7, 0.7),)
    parts.write(3, Part(24, {"network": 0.5}, 2**30, {way_key(WAY): (rows, pairs)}))
    again = Parts(tmp_path, {"seed": 2, "weights": "abc"}).read(3)
    assert (again.frames, again.seconds, again.peak) == (24, {"network": 0.5}, 2**30)
    assert (again.compared(WAY).rows, again.compared(WAY).pairs) == (rows, pairs)
    assert not again.lacks(WAY) and all(map(again.lacks, OTHERS))
    assert Parts(tmp_path, {"seed": 3, "weights": "abc"}).read(3) == Part()


def test_a_damaged_file_is_told(tmp_path):
    parts = Parts(tmp_path, {})
    parts.write(0, Part(1))
    (file,) = parts.path.glob("*.z")
    whole = file.read_bytes()
    for bad in (whole[:5], b"", b"x" + whole):
        file.write_bytes(bad)
        with pytest.raises(InputError, match="damaged: remove it"):
            parts.read(0)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="another --output"):
        Parts(tmp_path / "file", {})
