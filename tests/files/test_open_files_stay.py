"""Windows, where an open file can neither be renamed nor removed: acted here, on a system that shows what is open."""

import os
import re
from pathlib import Path

import pytest

import ovvis
from ovvis.files import lock
from ovvis.files.hidden import clear_leftovers, hidden_folder
from ovvis.files.lock import hold, take_lock
from ovvis.files.output import OutputFolder, whole_file, whole_folder

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the system does not show what is open")
SOURCE = Path(ovvis.__file__).parent


def opened():
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(handle.readlink()))
        except OSError:
            continue
    return found


@pytest.fixture
def windows(monkeypatch):
    """Refuse what Windows refuses; returns the paths that were refused."""
    refused = []

    def guarded(act):
        def guard(path, *more, dir_fd=None, **named):
            whole = Path(f"/proc/self/fd/{dir_fd}").readlink() / path if dir_fd is not None else Path(path).absolute()
            if any(name == str(whole) or name.startswith(f"{whole}/") for name in opened()):
                refused.append(str(whole))
                raise PermissionError(13, "The process cannot access the file", str(path))
            if dir_fd is not None:
                named["dir_fd"] = dir_fd
            return act(path, *more, **named)

        return guard

    monkeypatch.setattr(lock, "OPEN_FILES_STAY", True)
    for name in ("unlink", "remove", "rename", "replace"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    return refused


def test_the_guard_refuses(windows, tmp_path):
    with (tmp_path / "a").open("w") as file, pytest.raises(PermissionError):
        Path(file.name).rename(tmp_path / "b")
    with (tmp_path / "c").open("w") as file, pytest.raises(PermissionError):
        Path(file.name).unlink()
    assert len(windows) == 2


def test_files_and_folders_get_their_names_and_leave_nothing(windows, tmp_path):
    for text in ("first", "second"):
        with whole_file(tmp_path / "file.txt") as partial:
            partial.write_text(text)
        with whole_folder(tmp_path / "folder", overwrite=True) as partial:
            (partial / "a").write_text(text)
        with OutputFolder(tmp_path / "results", ["a.txt"], overwrite=True) as output:
            output.file("a.txt").write_text(text)
    assert (tmp_path / "file.txt").read_text() == (tmp_path / "folder" / "a").read_text() == "second"
    assert (tmp_path / "results" / "a.txt").read_text() == "second"
    there = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    assert there == ["file.txt", "folder", "folder/a", "results", "results/a.txt"]
    assert windows == []


def test_what_a_killed_process_left_goes(windows, tmp_path):
    left = tmp_path / ".result.partial-abc"
    left.mkdir()
    (left / ".lock").touch()
    (left / "half").touch()
    (tmp_path / ".other.partial").touch()
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [] and windows == []


def test_what_a_living_process_has_stays(windows, tmp_path):
    with hidden_folder(tmp_path, "result") as folder:
        clear_leftovers(tmp_path)
        assert folder.is_dir()
    with hold(tmp_path, "-x"):
        assert take_lock(tmp_path, "-x") is None
    assert list(tmp_path.iterdir()) == [] and windows == []


def test_nothing_of_unix_alone_is_imported_first():
    """Modules that Windows has not are imported where they are used, behind a question."""
    absent = re.compile(r"^(import|from) (fcntl|resource|pwd|grp|termios|pty|tty)\b", re.MULTILINE)
    found = [str(path) for path in SOURCE.rglob("*.py") if absent.search(path.read_text(encoding="utf-8"))]
    assert found == []


def test_double_precision_is_made_on_the_cpu():
    """MPS has none: a tensor goes to the CPU first."""
    found = [str(path) for path in SOURCE.rglob("*.py") if ".double().cpu()" in path.read_text(encoding="utf-8")]
    assert found == []
