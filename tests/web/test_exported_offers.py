"""Files of `ovvis models export` that the page offers."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from ovvis.errors import InputError
from ovvis.models.export import header
from ovvis.web import choices, work


@pytest.fixture
def exported(monkeypatch, tmp_path):
    """Return what makes files that pass for exports."""
    pytest.importorskip("onnxruntime")
    said = SimpleNamespace(name="clip-vis-r50", precision="float32", licence="Apache-2.0", labels=("a", "b"))
    monkeypatch.setattr(header, "read_header", lambda path: (None, said))

    def make(name):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        return str(path)

    return make


def test_a_file_is_offered_by_its_name_alone(exported, monkeypatch):
    path = exported("mine.onnx")
    entries = choices.offered(["clip-vis-stickers", path])
    rows = {row["name"]: row for row in choices.models(entries)}
    assert list(rows) == ["clip-vis-stickers", "mine.onnx"]
    assert rows["mine.onnx"]["exported"] == "clip-vis-r50 in float32, exported"
    assert str(Path(path).parent) not in repr(rows)
    assert choices.files(entries) == {"mine.onnx": path}
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    entry = choices.check_model("mine.onnx", entries)  # nothing of it is fetched
    assert choices.check_words("", entry) == "" and choices.check_words("dog", entry) == "dog"
    assert [row["chosen"] for row in choices.models(choices.offered([path]))] == [True]


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        (["a/mine.onnx", "b/mine.onnx"], {}, "another file is called mine.onnx too"),
        (["mine.onnx"], {"precision": "bfloat16"}, "computes in float32, which its export decided"),
        (["mine.onnx"], {"device": "gpu"}, "device 'gpu'"),
    ],
)
def test_what_cannot_be_offered(exported, names, options, says):
    with pytest.raises(InputError, match=says):
        choices.offered([exported(name) for name in names], **options)


def test_a_file_that_is_not_there():
    with pytest.raises(InputError, match=r"gone\.onnx' does not exist"):
        choices.offered(["gone.onnx"])


def test_an_error_names_no_folder_of_the_server(tmp_path):
    file = str(tmp_path / "mine.onnx")
    task = work.Task("dog.mp4", "dog", file, 1, tmp_path / "job" / "upload-1", None, tmp_path / "job", 1.0)
    assert work.told_line(f"model {file!r} is damaged", task) == "model 'mine.onnx' is damaged"
