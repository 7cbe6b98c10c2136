"""Parameters and operations by part, against numbers counted by hand and published ones."""

import json
import subprocess
import sys

import pytest

from ovvis.benchmark.published import OVFORMER

PROGRAM = """
import sys, msgspec
from ovvis.benchmark.costs import costs
sys.stdout.buffer.write(msgspec.json.encode([costs(name, [(800, 1333), (800, 1088)]) for name in sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def counted():
    """Return parts by name of each size; in a process of its own, as the command counts."""
    models = ["ovformer-r50", "clip-vis-stickers"]
    done = subprocess.run([sys.executable, "-c", PROGRAM, *models], capture_output=True, check=True)
    return {
        name: [{part["name"]: part for part in cost["parts"]} for cost in found]
        for name, found in zip(models, json.loads(done.stdout), strict=True)
    }


@pytest.mark.slow
def test_ovformer_is_as_large_as_published(counted):
    wide, common = counted["ovformer-r50"]
    for name, line in OVFORMER.items():
        assert wide[name]["parameters"] / 1e6 == pytest.approx(line.parameters, abs=0.05), name
    # Its authors' images are 1,088 wide in the middle: see published.WHY.
    for name, share in (("backbone", 0.01), ("pixel decoder", 0.01), ("query decoder with all masks", 0.07)):
        wanted = OVFORMER[name.removesuffix(" with all masks")].operations
        assert common[name]["operations"] / 2e9 == pytest.approx(wanted, rel=share), name
    assert wide["backbone"]["operations"] > common["backbone"]["operations"] * 1.2


@pytest.mark.slow
def test_parts_by_hand(counted):
    """The small model: 40 queries of width 128; 800x1333 is padded to 800x1344."""
    wide, _ = counted["clip-vis-stickers"]
    cells, tokens = 200 * 336, 100 * 168 + 50 * 84 + 25 * 42
    assert wide["masks"]["operations"] == 2 * 40 * 128 * (cells + 3 * 128)  # the last mask embeddings: three layers
    # Three layers; of each token and head 3 levels x 4 points x 4 corners, each a multiplication and an addition of
    # all channels of the head.
    assert wide["sampling of the pixel decoder"]["operations"] == 3 * 2 * tokens * 3 * 4 * 4 * 128
    assert wide["backbone"]["parameters"] > 0, "a backbone that is a view of CLIP has CLIP's own"
