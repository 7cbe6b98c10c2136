"""A corrected export is scored against, as a person does it."""

from typer.testing import CliRunner

from exported import result
from ovvis.cli.main import app
from ovvis.outputs.formats.tracks_json import save_tracks


def run(*arguments):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_exported_corrected_imported_scored(tmp_path):
    (tmp_path / "dog").mkdir()
    save_tracks(result(source="dog.mp4"), tmp_path / "dog" / "tracks.json")
    run("export", tmp_path / "dog", "--to", "cvat", "--output", tmp_path / "fixed")
    said = run("import", tmp_path / "fixed", "--from", "cvat", "--output", tmp_path / "own")
    assert "ovvis evaluate" in said and "ovvis train" in said
    scored = run("evaluate", tmp_path / "own" / "annotations.json", tmp_path / "dog" / "tracks.json")
    assert "100.0" in scored
    run("import", tmp_path / "fixed", "--from", "cvat", "--to", "tracks", "--output", tmp_path / "again")
    assert "100.0" in run("evaluate", tmp_path / "own" / "annotations.json", tmp_path / "again" / "tracks.json")


def test_what_score_truth_gets_is_said_once(tmp_path):
    (tmp_path / "dog").mkdir()
    save_tracks(result(source="dog.mp4"), tmp_path / "dog" / "tracks.json")
    for format, said in (("davis", 1), ("coco", 0)):
        run("export", tmp_path / "dog", "--to", format, "--output", tmp_path / format)
        given = map(str, ("import", tmp_path / format, "--from", format, "--output", tmp_path / f"{format}-own"))
        assert CliRunner().invoke(app, list(given)).stderr.count("they get 1, as what is true: 2") == said
