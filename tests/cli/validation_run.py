"""What a tiny CLIP-VIS' validation says, in this process of one or of several."""

import json
import sys
from pathlib import Path

import open_clip
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import TINY_CLIPS
from fakes import build_tiny
from forked import run_forked
from ovvis.cli.training_run import _gather
from ovvis.cli.validation import Validation
from ovvis.training.config import TrainConfig, ValidationConfig
from ovvis.training.devices import make_fabric

EDGES = {"short_edge": 64, "long_edge": 96}


def figures(folder):
    """Return the figures over the folder's dataset, as this process has them."""
    fabric = make_fabric("32-true", "cpu")
    asked = ValidationConfig(dataset=str(folder / "own.json"), frames=str(folder / "frames"), videos=None, **EDGES)
    gather = _gather if fabric.world_size > 1 else list
    validation = Validation(TrainConfig(validation=asked), build_tiny(), fabric.global_rank, fabric.world_size, gather)
    with torch.no_grad():
        return fabric.global_rank, validation(0)


def main(folder):
    """Be one of several processes; each writes what it has."""
    open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
    torch.set_num_threads(1)
    rank, found = figures(folder)
    (folder / f"figures-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    run_forked(lambda: main(Path(sys.argv[1])))
