import os
from pathlib import Path

import pytest

import ovvis
from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError
from ovvis.files.output import OutputFolder
from ovvis.models.checkpoint import read_checkpoint
from ovvis.models.text_file import text_from_file
from ovvis.paths import cache_folder, data_folder, user_path
from ovvis.predictions.result_places import find_results
from ovvis.sources.video import open_source
from ovvis.training.recipes import load_config
from ovvis.vocabulary import Vocabulary, read_prompts


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder beside the working folder, in which some names begin with a tilde."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    here = tmp_path / "here"
    (here / "~").mkdir(parents=True)
    (here / "~draft.mp4").touch()
    (here / "~" / "own.txt").touch()
    monkeypatch.chdir(here)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("clip.mp4", "clip.mp4"),
        ("a/~/clip.mp4", "a/~/clip.mp4"),
        ("~/clip.mp4", "HOME/clip.mp4"),
        ("~draft.mp4", "~draft.mp4"),  # it is there under this name
        ("~/own.txt", "~/own.txt"),
        ("~other.mp4", "~other.mp4"),  # nobody is called so
        ("~nouser/clip.mp4", "~nouser/clip.mp4"),
        ("~\0/clip.mp4", "~\0/clip.mp4"),
        ("~\udcff", "~\udcff"),
    ],
)
def test_a_users_path(given, meant, home):
    assert user_path(given) == Path(meant.replace("HOME", str(home)))
    assert user_path(Path(given)) == user_path(given)


def test_a_user_without_a_home(monkeypatch):
    """As in a container, where a number stands for the user and HOME is not set."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    assert user_path("~/clip.mp4") == Path("~/clip.mp4")


READERS = {
    "video": open_source,
    "labels": Vocabulary.from_file,
    "prompts": read_prompts,
    "checkpoint": read_checkpoint,
    "dataset": open_dataset,
    "results": find_results,
    "recipe": load_config,
    "text": lambda path: text_from_file(path, Vocabulary(["dog"])),
}


@pytest.mark.parametrize("name", ["~gone.json", "~nouser/gone.json"])
@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_there_is_told(reader, name, home):
    with pytest.raises(InputError, match=r"gone\.json"):
        READERS[reader](name)


def test_places_of_the_program_and_results(home, monkeypatch):
    monkeypatch.setenv("OVVIS_CACHE", "~nouser/cache")
    assert cache_folder() == Path("~nouser/cache")
    assert data_folder("~nouser/data") == Path("~nouser/data")
    with OutputFolder("~nouser/out", ["a"]) as output:
        output.file("a").write_text("whole")
    assert Path("~nouser/out/a").read_text() == "whole"


def test_every_room_asks_the_same_function():
    """The standard library's own raises where there is no such user."""
    root = Path(ovvis.__file__).parent
    others = [
        path for path in root.rglob("*.py") if "expanduser" in path.read_text("utf-8") and path.name != "paths.py"
    ]
    assert others == []
