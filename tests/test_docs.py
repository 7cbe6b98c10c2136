"""Every Python block of README and docs runs, in the order of its page, on small data and a tiny network."""

import json
import re
import textwrap
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ovvis
from fakes import build_tiny
from ovvis import masks
from ovvis.models.zoo import find_model
from ovvis.outputs.render import VideoWriter
from ovvis.structures import Target
from ovvis.training.data.loader import WindowLoader

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(r"^( *)```python\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
QUOTED = {"adding_a_model.md": ("models/families.py", "models/zoo.py")}  # whose blocks are lines of these files
HEIGHT, WIDTH = 48, 64


def blocks(page):
    return [textwrap.dedent(code) for _, code in BLOCK.findall(page.read_text(encoding="utf-8"))]


PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if blocks(page)]


def write_frame(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)).save(path)


def write_datasets(root):
    """Write a video of LV-VIS' validation set with a result, and an image of LVIS' training set."""
    code = masks.encode(np.eye(HEIGHT, WIDTH, dtype=bool)[:, ::-1] | (np.arange(WIDTH) < 20))
    mask = {"size": [HEIGHT, WIDTH], "counts": code["counts"].decode()}
    size = {"height": HEIGHT, "width": WIDTH}
    word = {"id": 1, "name": "aerosol_can", "partition": 3, "frequency": "c"}
    frames = ["a/00000.jpg", "a/00001.jpg"]
    found = {"video_id": 1, "category_id": 1, "segmentations": [mask, mask]}
    val = {
        "videos": [{"id": 1, **size, "file_names": frames}],
        "categories": [word],
        "annotations": [{"id": 1, **found}],
    }
    image = {"id": 1, **size, "file_name": "b.jpg"}
    box = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": mask, "bbox": [0, 0, 20, 48], "area": 960}
    train = {"images": [image], "categories": [word], "annotations": [box]}
    for path, content in (
        (root / "lvvis/val/val_instances_.json", val),
        (root / "lvis/lvis_v1_train_norare.json", train),
        (root.parent / "results.json", [{**found, "score": 0.9}]),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    for name in frames:
        write_frame(root / "lvvis/val/JPEGImages" / name)
    write_frame(root / "coco/b.jpg")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with what the pages speak of, a tiny network for every name, and what a page takes as given."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OVVIS_DATA", str(tmp_path / "datasets"))
    write_datasets(tmp_path / "datasets")
    with VideoWriter(tmp_path / "dog.mp4", 12, (HEIGHT, WIDTH)) as video:
        for i in range(4):
            video.write(np.full((HEIGHT, WIDTH, 3), 40 * i, dtype=np.uint8))

    def load_model(name=None, weights=None, *, device="auto", precision="float32", **options):
        find_model(name)
        return build_tiny(**options)

    monkeypatch.setattr(ovvis, "load_model", load_model, raising=False)
    endless = WindowLoader.batches
    monkeypatch.setattr(WindowLoader, "batches", lambda self, start=0: islice(endless(self, start), 2))
    model = build_tiny()
    with ovvis.VideoSegmenter(model, ["dog"], cache=False)("dog.mp4") as result:
        (tmp_path / "ovvis-dog").mkdir()
        ovvis.save_tracks(result, "ovvis-dog/tracks.json")
    truth = torch.zeros(2, 1, HEIGHT, WIDTH, dtype=torch.bool)
    truth[0, :, :20], truth[1, :, 30:] = True, True
    return {
        "ovvis": ovvis,
        "weights": None,
        "model": model,
        "pixels": torch.zeros(1, 1, 3, 64, 64),
        "targets": [Target(truth, torch.tensor([0, 1]), torch.tensor([0, 1]))],
    }


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # of the reader's machine, not the page
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs(page, world):
    for number, code in enumerate(blocks(page), 1):
        if page.name in QUOTED:
            sources = [(ROOT / "src/ovvis" / name).read_text(encoding="utf-8") for name in QUOTED[page.name]]
            assert any(code.strip() in source for source in sources), code
        else:
            exec(compile(code, f"{page.name}, block {number}", "exec"), world)


def test_the_pages_with_python_are_found():
    assert {"README.md", "results.md", "training.md"} <= {page.name for page in PAGES}
