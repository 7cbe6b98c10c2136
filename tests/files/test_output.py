import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ovvis.errors import InputError, ResourceError
from ovvis.files.hidden import hidden_folder
from ovvis.files.output import OutputFolder, disk_full, partial_name, whole_file, whole_folder

FILES = ("one.txt", "two.txt")


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def one_line(error: BaseException, *words: object) -> None:
    assert "\n" not in str(error)
    for word in words:
        assert str(word) in str(error)


@pytest.mark.parametrize("name", ["out", "a/b/out"])
def test_files_appear_together_at_the_end(tmp_path, name):
    path = tmp_path / name
    with OutputFolder(path, FILES) as output:
        first = output.file("one.txt")
        first.write_text("1")
        output.file("two.txt").write_text("2")
        assert first.parent != path and first.parent.name.startswith(".out.partial-")
        assert all(file.name.startswith(".") for file in path.iterdir())
    assert tree(path) == ["one.txt", "two.txt"]
    assert tree(path.parent) == ["out", "out/one.txt", "out/two.txt"]


def older(folder: Path) -> Path:
    """Make a folder with results of an earlier run and a file of somebody's own."""
    folder.mkdir()
    (folder / "one.txt").write_text("old")
    (folder / "two.txt").write_text("old")
    (folder / "note.txt").write_text("mine")
    return folder


def test_older_results_are_refused_before_any_work(tmp_path):
    out = older(tmp_path / "out")
    for names in (FILES, ("two.txt", "three.txt")):
        with pytest.raises(InputError) as caught, OutputFolder(out, names):
            pytest.fail("entered")
        one_line(caught.value, out, "two.txt" if "one.txt" not in names else "one.txt", "--overwrite", "--output")
    assert tree(tmp_path) == ["out", "out/note.txt", "out/one.txt", "out/two.txt"]
    with OutputFolder(out, ["three.txt"]) as output:  # nothing of this kind is there
        output.file("three.txt").write_text("new")
    assert tree(out) == ["note.txt", "one.txt", "three.txt", "two.txt"]


def test_overwritten_results_belong_together(tmp_path):
    out = older(tmp_path / "out")
    with OutputFolder(out, FILES, overwrite=True) as output:
        output.file("one.txt").write_text("new")
        assert (out / "one.txt").read_text() == "old"
    assert (out / "one.txt").read_text() == "new"
    assert tree(out) == ["note.txt", "one.txt"]  # the older run's other file says something of other results


def test_the_next_free_folder(tmp_path):
    older(tmp_path / "out")
    (tmp_path / "out-2").write_text("a file")
    with (
        OutputFolder(tmp_path / "out", FILES, another=True) as third,
        OutputFolder(tmp_path / "out", FILES, another=True) as fourth,  # at the same time, as another process
    ):
        third.file("one.txt").write_text("3")
        fourth.file("one.txt").write_text("4")
    assert (third.path, fourth.path) == (tmp_path / "out-3", tmp_path / "out-4")
    assert [(tmp_path / f"out-{n}/one.txt").read_text() for n in (3, 4)] == ["3", "4"]
    with OutputFolder(tmp_path / "out", FILES, another=True, overwrite=True) as first:
        first.file("one.txt").write_text("1")
    assert (tmp_path / "out/one.txt").read_text() == "1"


def test_one_process_in_a_folder(tmp_path):
    with OutputFolder(tmp_path / "out", FILES) as output:
        with pytest.raises(InputError, match="another process is writing"), OutputFolder(tmp_path / "out", FILES):
            pytest.fail("entered")
        output.file("one.txt").write_text("1")
    assert tree(tmp_path / "out") == ["one.txt"]


def test_what_comes_meanwhile_is_kept_and_so_is_the_work(tmp_path):
    with OutputFolder(tmp_path / "out", FILES) as output:
        output.file("one.txt").write_text("ours")
        (tmp_path / "out/one.txt").write_text("theirs")
    assert (tmp_path / "out/one.txt").read_text() == "theirs"
    assert output.path == tmp_path / "out-2" and (tmp_path / "out-2/one.txt").read_text() == "ours"
    assert tree(tmp_path) == ["out", "out-2", "out-2/one.txt", "out/one.txt"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ovvis.files.output import OutputFolder, whole_file, whole_folder
from ovvis.files.hidden import hidden_folder
kind, home = sys.argv[1], Path(sys.argv[2])
made = {
    "results": lambda: OutputFolder(home / "out", ["one.txt", "two.txt"]),
    "file": lambda: whole_file(home / "out"),
    "folder": lambda: whole_folder(home / "out"),
    "scratch": lambda: hidden_folder(home, "out"),
}[kind]
with made() as place:
    file = place.file("one.txt") if kind == "results" else place if kind == "file" else place / "one.txt"
    file.write_text("half")
    print("there", flush=True)
    sys.stdin.read()
"""
MAKE = {
    "results": lambda home: OutputFolder(home / "out", FILES, another=True),
    "file": lambda home: whole_file(home / "out"),
    "folder": lambda home: whole_folder(home / "out"),
    "scratch": lambda home: hidden_folder(home, "out"),
}


def fill(kind, place, text):
    file = place.file("one.txt") if kind == "results" else place if kind == "file" else place / "one.txt"
    file.write_text(text)


@pytest.mark.parametrize("kind", MAKE)
def test_the_next_one_clears_what_a_killed_one_left_and_nothing_else(kind, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, kind, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "there\n"
        before = [path for path in tree(tmp_path) if "partial" in path]
        assert before
        if kind == "folder":
            with pytest.raises(InputError, match="another process is writing"), MAKE[kind](tmp_path):
                pytest.fail("entered")
        else:
            with MAKE[kind](tmp_path) as place:
                fill(kind, place, "ours")
        assert set(before) <= set(tree(tmp_path))  # what a living process writes stays
        process.kill()
        process.wait()
    with MAKE[kind](tmp_path) as place:
        fill(kind, place, "again")
    assert not [path for path in tree(tmp_path) if "partial" in path or "lock" in path]
    wanted = {
        "results": ["other", "out", "out-2", "out-2/one.txt", "out/one.txt"],
        "file": ["other", "out"],
        "folder": ["other", "out", "out/one.txt"],
        "scratch": ["other"],
    }
    assert tree(tmp_path) == wanted[kind]


def test_a_folder_is_whole_or_absent(tmp_path):
    home = tmp_path / "a/b"
    with pytest.raises(KeyboardInterrupt), whole_folder(home) as folder:
        (folder / "one.txt").write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == []
    with whole_folder(home) as folder:
        (folder / "one.txt").write_text("1")
        assert not home.exists()
    assert tree(tmp_path) == ["a", "a/b", "a/b/one.txt"]
    assert home.stat().st_mode == home.parent.stat().st_mode  # not for its owner alone, as hidden folders are
    with pytest.raises(InputError, match="--overwrite"), whole_folder(home):
        pytest.fail("entered")
    with whole_folder(home, overwrite=True) as folder:
        (folder / "two.txt").write_text("2")
    assert tree(tmp_path) == ["a", "a/b", "a/b/two.txt"]


def test_a_file_that_is_not_to_be_replaced(tmp_path):
    path = tmp_path / "a.json"
    with whole_file(path, overwrite=False) as partial:
        partial.write_text("first")
    with pytest.raises(InputError, match="--overwrite"), whole_file(path, overwrite=False):
        pytest.fail("entered")
    path.unlink()
    with pytest.raises(InputError, match="--overwrite"), whole_file(path, overwrite=False) as partial:
        partial.write_text("second")
        path.write_text("came meanwhile")
    assert path.read_text() == "came meanwhile" and tree(tmp_path) == ["a.json"]


def test_two_that_write_one_file_at_once(tmp_path):
    path = tmp_path / "a.json"
    with whole_file(path) as one:
        one.write_text("one")
        with whole_file(path) as other:
            assert one != other
            other.write_text("other")
        assert path.read_text() == "other"
    assert path.read_text() == "one" and tree(tmp_path) == ["a.json"]


def test_a_signal_waits_until_all_files_have_their_names(tmp_path, monkeypatch):
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (replace(*names), signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path / "out", FILES) as output:
        for name in FILES:
            output.file(name).write_text("whole")
    assert tree(tmp_path) == ["out", "out/one.txt", "out/two.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(2), RuntimeError("x"), OSError(5, "io")])
@pytest.mark.parametrize("name", ["out", "a/b/out"])
def test_an_exception_leaves_nothing(tmp_path, error, name):
    with pytest.raises(type(error)) as caught, OutputFolder(tmp_path / name, FILES) as output:
        output.file("one.txt").write_text("half")
        raise error
    assert caught.value is error
    assert tree(tmp_path) == []


def test_an_exception_keeps_what_was_there(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/one.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), OutputFolder(tmp_path / "out", FILES, overwrite=True) as output:
        output.file("one.txt").write_text("half")
        raise KeyboardInterrupt
    assert tree(tmp_path) == ["out", "out/one.txt"]
    assert (tmp_path / "out/one.txt").read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_in_one_line(tmp_path, number):
    error = OSError(number, "No space left on device")
    with pytest.raises(ResourceError) as caught, OutputFolder(tmp_path / "out", FILES):
        raise error
    one_line(caught.value, "no space left", tmp_path / "out", "--output")
    assert caught.value.__cause__ is error
    assert tree(tmp_path) == []


def test_a_full_disk_while_moving(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ovvis.files.output.os.replace", full)
    with pytest.raises(ResourceError, match="no space left"), OutputFolder(tmp_path / "out", FILES) as output:
        output.file("one.txt").write_text("1")
    assert tree(tmp_path) == []


def test_a_file_that_fails_to_move_is_an_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ovvis.files.output.os.replace", refuse)
    with pytest.raises(PermissionError), OutputFolder(tmp_path / "out", FILES) as output:
        output.file("one.txt").write_text("1")
    assert tree(tmp_path) == []


def test_disk_full_names_the_quota():
    assert "disk quota exceeded" in str(disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"), Path("x")))


def test_the_folder_is_a_file(tmp_path):
    (tmp_path / "out").write_text("")
    for path in (tmp_path / "out", tmp_path / "out/deeper"):
        with pytest.raises(InputError) as caught, OutputFolder(path, FILES):
            pytest.fail("entered")
        one_line(caught.value, path, "must", "--output")
    assert tree(tmp_path) == ["out"]


def test_the_folder_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("ovvis.files.hidden.tempfile.mkdtemp", refuse)
    with pytest.raises(InputError) as caught, OutputFolder(tmp_path / "new/out", FILES):
        pytest.fail("entered")
    one_line(caught.value, tmp_path / "new/out", "must be writable", "Permission denied", "--output")
    assert tree(tmp_path) == []


def test_names(tmp_path):
    (tmp_path / "out/one.txt").mkdir(parents=True)
    for name in ("", "a/b", "..", "/x"):
        with pytest.raises(ValueError, match="plain name"):
            OutputFolder(tmp_path / "out", [name])
    with pytest.raises(InputError, match=r"one\.txt must not be a folder"), OutputFolder(tmp_path / "out", FILES):
        pytest.fail("entered")
    folder = OutputFolder(tmp_path / "out", ["x"])
    with pytest.raises(RuntimeError, match="enter"):
        folder.file("x")
    with folder as output, pytest.raises(ValueError, match="one of those"):
        output.file("y")
    assert tree(tmp_path) == ["out", "out/one.txt"]


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
