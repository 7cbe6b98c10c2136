"""What the model's process says of a task that went wrong."""

import pytest

from ovvis.errors import InputError, ResourceError
from ovvis.web import segmenting, work


class Told:
    cancelled = False

    def __init__(self):
        self.said = []

    def check(self):
        pass

    def tell(self, *what):
        self.said.append(what)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "the server's disk is full: try again later"),
        (OSError(122, "Disk quota exceeded"), "the server's disk is full: try again later"),
        (ResourceError("no space left on the disk: make room"), "no space left on the disk: make room"),
        (InputError("FOLDER/upload-1 is\nbroken"), "dog.mp4 is broken"),
        (MemoryError(), "there is not enough memory for this: give a smaller or shorter video, or a smaller model"),
        (KeyError("x"), "something went wrong that was not foreseen (KeyError); the server's log has more"),
        (work.Cancelled(), None),
    ],
)
def test_a_task_that_fails_is_told_in_one_line(error, said, monkeypatch, tmp_path, capsys):
    def broken(task, models, told):
        raise InputError(str(error).replace("FOLDER", str(tmp_path))) if "FOLDER" in str(error) else error

    monkeypatch.setattr(segmenting, "segment", broken)
    told = Told()
    task = work.Task("dog.mp4", "dog", "m", 1, tmp_path / "upload-1", None, tmp_path, 1.0)
    work._do(task, None, told)
    assert told.said == [("failed", said)]
    assert ("Traceback" in capsys.readouterr().err) == isinstance(error, KeyError)


def test_told_line_names_no_folder(tmp_path):
    video = tmp_path / "upload-12345678"
    task = work.Task("dog.mp4", "dog", "m", 1, video, None, tmp_path, 1.0)
    assert (
        work.told_line(f"file:{video} is bad:\n upload-12345678, {tmp_path}", task)
        == "file:dog.mp4 is bad: dog.mp4, the job's folder"
    )
