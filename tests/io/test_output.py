import errno
import os
from pathlib import Path

import pytest

from ovvis.errors import InputError, ResourceError
from ovvis.io.output import OutputFolder, disk_full, partial_name, whole_file


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def one_line(error: BaseException, *words: object) -> None:
    assert "\n" not in str(error)
    for word in words:
        assert str(word) in str(error)


@pytest.mark.parametrize("name", ["out", "a/b/out"])
def test_files_appear_together_at_the_end(tmp_path, name):
    path = tmp_path / name
    with OutputFolder(path) as output:
        first = output.file("one.txt")
        first.write_text("1")
        output.file("two.txt").write_text("2")
        assert first.parent != path and first.parent.name.startswith(".out.partial-")
        assert not list(path.iterdir())
    assert tree(path) == ["one.txt", "two.txt"]
    assert tree(path.parent) == ["out", "out/one.txt", "out/two.txt"]


def test_replaces_an_older_file_and_keeps_the_others(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/one.txt").write_text("old")
    (tmp_path / "out/note.txt").write_text("mine")
    with OutputFolder(tmp_path / "out") as output:
        output.file("one.txt").write_text("new")
        assert (tmp_path / "out/one.txt").read_text() == "old"
    assert (tmp_path / "out/one.txt").read_text() == "new"
    assert tree(tmp_path) == ["out", "out/note.txt", "out/one.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), RuntimeError("x"), OSError(5, "io")])
@pytest.mark.parametrize("name", ["out", "a/b/out"])
def test_an_exception_leaves_nothing(tmp_path, error, name):
    with pytest.raises(type(error)) as caught, OutputFolder(tmp_path / name) as output:
        output.file("one.txt").write_text("half")
        raise error
    assert caught.value is error
    assert tree(tmp_path) == []


def test_an_exception_keeps_what_was_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/one.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path / "out") as output:
        output.file("one.txt").write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == ["out", "out/one.txt"]
    assert (tmp_path / "out/one.txt").read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_one_line(tmp_path, number):
    error = OSError(number, "No space left on device")
    with pytest.raises(ResourceError) as caught, OutputFolder(tmp_path / "out"):
        raise error
    one_line(caught.value, "no space left", tmp_path / "out", "--output")
    assert caught.value.__cause__ is error
    assert tree(tmp_path) == []


def test_a_full_disk_while_moving(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ovvis.io.output.os.replace", full)
    with pytest.raises(ResourceError, match="no space left"), OutputFolder(tmp_path / "out") as output:
        output.file("one.txt").write_text("1")
    assert tree(tmp_path) == []


def test_a_file_that_fails_to_move_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ovvis.io.output.os.replace", refuse)
    with pytest.raises(PermissionError), OutputFolder(tmp_path / "out") as output:
        output.file("one.txt").write_text("1")
    assert tree(tmp_path) == []


def test_disk_full_names_the_quota():
    assert "disk quota exceeded" in str(disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"), Path("x")))


def test_the_folder_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    for path in (tmp_path / "out", tmp_path / "out/deeper"):
        with pytest.raises(InputError) as caught, OutputFolder(path):
            pytest.fail("entered")
        one_line(caught.value, path, "must", "--output")
    assert tree(tmp_path) == ["out"]


def test_the_folder_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ovvis.io.output.tempfile.mkdtemp", refuse)
    with pytest.raises(InputError) as caught, OutputFolder(tmp_path / "new/out"):
        pytest.fail("entered")
    one_line(caught.value, tmp_path / "new/out", "must be writable", "Permission denied", "--output")
    assert tree(tmp_path) == []


def test_the_parent_cannot_be_written(tmp_path, monkeypatch):
    """A folder of one's own in a foreign parent: the hidden folder lies inside."""
    from ovvis.io import output as module

    make = module.tempfile.mkdtemp

    def only_inside(prefix=None, dir=None):
        if dir == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return make(prefix=prefix, dir=dir)

    monkeypatch.setattr(module.tempfile, "mkdtemp", only_inside)
    with OutputFolder(tmp_path / "out") as output:
        output.file("one.txt").write_text("1")
        assert output.file("one.txt").parent.parent == tmp_path / "out"
    assert tree(tmp_path) == ["out", "out/one.txt"]


def test_names(tmp_path):
    (tmp_path / "out/taken").mkdir(parents=True)
    folder = OutputFolder(tmp_path / "out")
    with pytest.raises(RuntimeError, match="enter"):
        folder.file("x")
    with folder as output:
        for name in ("", "a/b", "..", "/x"):
            with pytest.raises(ValueError, match="plain name"):
                output.file(name)
        with pytest.raises(InputError, match="taken must not be a folder"):
            output.file("taken")
    assert tree(tmp_path) == ["out", "out/taken"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("x")])
def test_a_whole_file_is_the_new_one_or_the_old_one(tmp_path, error):
    path = tmp_path / "a.json"
    with pytest.raises(type(error)), whole_file(path) as partial:
        partial.write_text("half")
        raise error
    assert tree(tmp_path) == []
    with whole_file(path, ".1-of-2") as partial:
        partial.write_text("first")
        assert partial.name == partial_name("a.json", ".1-of-2") and not path.exists()
    with pytest.raises(type(error)), whole_file(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "first" and tree(tmp_path) == ["a.json"]


def test_a_whole_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done: list[str] = []
    flush, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("flush"), flush(handle)))
    monkeypatch.setattr(os, "replace", lambda old, new: (done.append("name"), replace(old, new)))
    with whole_file(tmp_path / "a.json") as partial:
        partial.write_text("whole")
    assert done == ["flush", "name", "flush"]


def test_a_full_disk_is_one_line(tmp_path):
    with pytest.raises(ResourceError) as caught, whole_file(tmp_path / "a.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    one_line(caught.value, "no space left", "a.json", "--output")
