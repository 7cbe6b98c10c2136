"""A workman without a network, for clusters that only hand out: each task writes a file, or ends its process first."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ovvis.cluster.work import Begun


@dataclass
class Writer:
    """A task is a name and what happens; the answer is the name."""

    folder: Path

    def begin(self, shared: object) -> Begun:
        """Share a word; note who made it and who was given it."""
        (self.folder / f"begun-{os.getpid()}").write_text(str(shared))
        return Begun({"device": "cpu"}, "writer", "words")

    def work(self, task: tuple[str, str], bars: object) -> str:
        """Do what the task says."""
        name, what = task
        seen = self.folder / f"{name}.seen"
        first = not seen.exists()
        seen.touch()
        if what == "kill" or (what == "kill once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "raise":
            raise KeyError(name)
        with bars("writing", "frames", 10) as done:
            done(10)
        time.sleep(0.3 if what == "slow" else 0.01)
        partial = self.folder / f".{name}"
        partial.write_text(name)
        partial.replace(self.folder / name)
        return name

    def tidy(self, task: tuple[str, str]) -> None:
        """Note that the task was given up."""
        (self.folder / f"{task[0]}.tidy").touch()
