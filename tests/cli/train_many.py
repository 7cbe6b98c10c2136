"""`ovvis train` with the tests' tiny CLIPs, as one of torchrun's processes."""

import sys
from pathlib import Path

import open_clip

sys.path.insert(0, str(Path(__file__).parents[1]))

from conftest import TINY_CLIPS
from ovvis.cli.main import run

if __name__ == "__main__":
    open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
    sys.argv.insert(1, "train")
    run()
