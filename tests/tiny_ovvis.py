"""The command `ovvis` on a tiny network, each run in a process of its own that may kill itself at a given place.

Each line of standard input is a JSON list ["PLACE:COUNT", ARGUMENTS...]; the answer is the run's exit status, -9 after
SIGKILL. With a place other than "never" the run kills itself when it gets there for the COUNT-th time. A run is a fork:
Python and PyTorch are imported once.
"""

import json
import os
import signal
import sys
import traceback

import open_clip
import torch

from conftest import TINY_CLIPS
from fakes import build_tiny
from ovvis.cli import main
from ovvis.cli.lazy import load
from ovvis.files import output
from ovvis.inference import tubes
from ovvis.models import load as models_load
from ovvis.predictions import submission
from ovvis.predictions import video_file as predictions


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(owner, name: str, count: int) -> None:
    """Make the count-th call of a function the end."""
    real, calls = getattr(owner, name), 0

    def call(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == count:
            die()
        return real(*args, **kwargs)

    setattr(owner, name, call)


def die_in_an_entry(count: int) -> None:
    """Die when half of an entry has reached the file."""
    real, calls = predictions.write_segmentations, 0

    def write(masks, file):
        nonlocal calls
        calls += 1
        if calls == count:
            file.write('[{"size": [')
            file.flush()
            die()
        real(masks, file)

    predictions.write_segmentations = write


def die_in_an_archive(count: int) -> None:
    """Die when half of an archive has been written."""
    real, calls = submission._zip, 0

    def write(source, target):
        nonlocal calls
        calls += 1
        real(source, target)
        if calls == count:
            os.truncate(target, target.stat().st_size // 2)
            die()

    submission._zip = write


PLACES = {
    "never": lambda count: None,
    "frame": lambda count: die_before(tubes.Tubes, "add", count),
    "entry": die_in_an_entry,
    "flush": lambda count: die_before(output, "_flush", count),
    "name": lambda count: die_before(output.os, "replace", count),
    "packing": lambda count: die_before(submission._EntryList, "add", count),
    "archive": die_in_an_archive,
}


def run(place: str, words: list[str]) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # standard output is for the answers
    place, _, count = place.partition(":")
    PLACES[place](int(count or 0))
    sys.argv = ["ovvis", *words]
    main.run()


if __name__ == "__main__":
    torch.set_num_threads(1)
    open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
    models_load.load_model = lambda *args, **kwargs: build_tiny()
    load("predict")  # imports what the verb needs
    for line in sys.stdin:
        place, *words = json.loads(line)
        child = os.fork()
        if child == 0:
            try:
                run(place, words)
            except SystemExit as leave:
                os._exit(leave.code if isinstance(leave.code, int) else 1)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
