"""`ovvis export`: the command as a person gives it."""

import pytest
from typer.testing import CliRunner

from exported import result
from ovvis.cli.main import app
from ovvis.errors import InputError
from ovvis.outputs.formats.table import FORMATS
from ovvis.outputs.formats.tracks_json import save_tracks


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "ovvis-dog"
    place.mkdir()
    save_tracks(result(), place / "tracks.json")
    return place


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


def test_several_formats_and_a_table(folder, tmp_path):
    done = run(folder, "--to", "coco,csv", "--labels", "dog")
    assert done.exit_code == 0, done.output
    assert "coco" in done.stdout and "ovvis-dog-csv.csv" in "".join(done.stdout.split())  # a long path is folded
    assert (tmp_path / "ovvis-dog-coco" / "annotations.json").is_file()
    assert "further labels of an instance, left out" in done.stderr


def test_the_list_names_every_format():
    done = run("--list")
    assert all(name in done.stdout for name in FORMATS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a result and a format: ovvis export ovvis-dog --to coco"),
        (("--to", "coko"), "give a result and a format"),
        (("FOLDER", "--to", "coko"), "format 'coko': did you mean coco"),
        (("FOLDER", "--to", "crops"), "add --source VIDEO"),
        (("FOLDER", "--to", "csv", "--source", "dog.mp4"), "csv holds no frames"),
        (("FOLDER", "--to", "coco,csv", "--output", "x"), "--output is for one format"),
        (("nowhere", "--to", "csv"), "cannot be read"),
    ],
)
def test_refusals(folder, arguments, message):
    done = run(*(folder if one == "FOLDER" else one for one in arguments))
    assert isinstance(done.exception, InputError) and message in str(done.exception)
