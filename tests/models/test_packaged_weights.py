"""The weights in the package are whole, small enough, and what the zoo says."""

from dataclasses import asdict

import pytest
import torch

from fakes import build_tiny
from ovvis.models.checkpoint import read_checkpoint
from ovvis.models.load import load_model
from ovvis.models.places import weights_files
from ovvis.models.zoo import SMALL_MODEL, find_model, list_models
from ovvis.paths import cache_folder

PACKAGED = [entry for entry in list_models() if entry.packaged]
LATER = {"clip_weights", "none_logit", "birth", "names", "silence", "short_edge"}  # no weight depends on them


def test_the_default_is_packaged():
    assert find_model(SMALL_MODEL) in PACKAGED


def test_together_they_are_small():
    def size(entries):
        return sum(path.stat().st_size for path in {path for entry in entries for path in weights_files(entry)})

    assert size([find_model(SMALL_MODEL)]) <= 25_000_000
    assert size(PACKAGED) <= 50_000_000


@pytest.mark.parametrize("entry", PACKAGED, ids=lambda entry: entry.name)
def test_what_the_zoo_says(entry):
    found = read_checkpoint(weights_files(entry)[0])
    wanted = asdict(entry.config)
    assert {n: v for n, v in found.config.items() if n not in LATER} == {
        n: v for n, v in wanted.items() if n not in LATER
    }
    model = load_model(entry.name)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert model.short_edge == entry.config.short_edge
    assert not list(cache_folder().iterdir())
    # Training leaves nothing as it was drawn at random: batch norms have seen pictures.
    assert round(sum(weight.numel() for weight in model.parameters()) / 1e6) == entry.parameters


def test_small_frames_go_through_the_network_together():
    sizes = {entry.name: load_model(entry.name, device="cpu").batch for entry in PACKAGED}
    assert sizes == {"clip-vis-stickers": 4, "ovformer-stickers": 1, "ov2seg-stickers": 4}
    assert build_tiny(short_edge=480).batch == 1
