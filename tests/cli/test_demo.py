"""The packaged video, and the words that it is asked about with."""

from ovvis.cli.demo import ABSENT, THERE, VIDEO
from ovvis.io.video import open_source
from ovvis.vocabulary import Vocabulary
from ovvis.world.categories import categories


def test_the_packaged_video():
    info = open_source(VIDEO).info
    assert (info.height, info.width, info.frame_count, info.fps) == (320, 480, 216, 24)
    assert VIDEO.stat().st_size < 1_000_000


def test_its_words():
    known = {category.name: category for category in categories()}
    there, absent = Vocabulary.parse(", ".join(THERE)).names, Vocabulary.parse(", ".join(ABSENT)).names
    assert set(there) | set(absent) <= known.keys() and not set(there) & set(absent)
    assert {known[name].split for name in there} == {"base", "novel"}
