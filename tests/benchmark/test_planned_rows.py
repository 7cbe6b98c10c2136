"""Which rows lists become, and which lists are refused."""

from types import SimpleNamespace

import pytest

from ovvis.benchmark.plan import grid, own_size, parse_counts, parse_names, parse_sizes
from ovvis.errors import InputError
from ovvis.models.export import header

SIZES, WORDS = ((48, 64), (96, 128)), (5, 7, 9)


def rows_of(combine, **axes):
    base = {"size": SIZES[:1], "words": (5,), "frames": (2,), "precision": ("float32",), "device": ("cpu",)}
    rows = grid(["clip-vis-stickers", "clip-vis-r50"], base | axes, combine)
    return [(row.model, row.height, row.words, row.precision) for row in rows]


def test_each_list_by_itself_from_the_base():
    rows = rows_of(False, size=SIZES, words=WORDS)
    one = [(48, 5), (96, 5), (48, 7), (48, 9)]
    assert rows == [(model, h, k, "float32") for model in ("clip-vis-stickers", "clip-vis-r50") for h, k in one]


def test_every_combination():
    rows = rows_of(True, size=SIZES, words=WORDS)
    assert len(rows) == 12 and len(set(rows)) == 12


def test_weights_and_size_that_nobody_gave():
    packaged, published = grid(
        ["clip-vis-stickers", "clip-vis-r50"],
        {"words": (5,), "frames": (2,), "precision": ("float32",), "device": ("cpu",)},
        False,
    )
    assert (packaged.weights, packaged.size) == ("own", "256x455")
    assert (published.weights, published.size) == ("untrained", "480x853")
    assert own_size("clip-vis-r50") == (480, 853)


@pytest.mark.parametrize(("fixed", "size"), [((None, None), (480, 853)), ((256, 384), (256, 384))])
def test_an_exported_file_has_its_own_precision_and_size(fixed, size, monkeypatch, tmp_path):
    height, width = fixed
    said = SimpleNamespace(height=height, width=width, config={"short_edge": 480}, precision="int8")
    monkeypatch.setattr(header, "read_header", lambda path: (None, said))
    path = tmp_path / "mine.onnx"
    path.write_bytes(b"")
    axes = {"words": (5,), "frames": (2,), "precision": ("float32", "bfloat16"), "device": ("cpu",)}
    plain, half, mine = grid(["clip-vis-stickers", str(path)], axes, False)
    assert (plain.precision, half.precision, mine.precision) == ("float32", "bfloat16", "int8")
    assert (mine.height, mine.width) == size and mine.weights == "own" and mine.model == str(path)


@pytest.mark.parametrize(("text", "found"), [("480x853", ((480, 853),)), ("64X96, 64x96,32x32", ((64, 96), (32, 32)))])
def test_sizes(text, found):
    assert parse_sizes(text) == found


@pytest.mark.parametrize(
    "text", ["480", "480x", "x853", "480x853x3", "31x64", "64x9000", "64x96,", "", "-64x96", "６４x96"]
)
def test_no_sizes(text):
    with pytest.raises(InputError, match="--size"):
        parse_sizes(text)


def test_counts():
    assert parse_counts("80,1_196, 80", "words", 1, 10_000) == (80, 1196)


@pytest.mark.parametrize("text", ["0", "10001", "1.5", "many", "1,,2", "-3"])
def test_no_counts(text):
    with pytest.raises(InputError, match="--words"):
        parse_counts(text, "words", 1, 10_000)


def test_names():
    assert parse_names("float32,auto", "precision", ["auto", "float32"]) == ("float32", "auto")
    with pytest.raises(InputError, match="did you mean float32"):
        parse_names("float23", "precision", ["auto", "float32"])
