import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from validation_run import EDGES, figures

from fakes import build_tiny
from ovvis.datasets.words import dataset_vocabulary
from ovvis.evaluation.records import Category
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.sources.video import open_frames

CATEGORIES = (Category(3, "square"), Category(8, "noise"))
SIZE = {"height": 64, "width": 96}


@pytest.fixture
def home(tmp_path):
    """Five videos of two frames; the truth is what an untrained model finds, spoilt in part: AP is not 0 and not 1."""
    vocabulary, ids = dataset_vocabulary(CATEGORIES)
    segmenter = VideoSegmenter(build_tiny(), vocabulary, **EDGES)
    content = {"videos": [], "annotations": [], "categories": [{"id": c.id, "name": c.name} for c in CATEGORIES]}
    for video in range(1, 6):
        names = [f"{video}/{t}.png" for t in range(2)]
        (tmp_path / "frames" / str(video)).mkdir(parents=True)
        for t, name in enumerate(names):
            pixels = np.random.default_rng(10 * video + t).integers(0, 256, (8, 12, 3), np.uint8)
            Image.fromarray(pixels).resize((96, 64)).save(tmp_path / "frames" / name)
        content["videos"].append({"id": video, "file_names": names, "length": 2, **SIZE})
        with segmenter(open_frames([tmp_path / "frames" / name for name in names], str(video))) as result:
            for i, track in enumerate(result.tracks):
                masks = [mask and {"size": mask["size"], "counts": mask["counts"].decode()} for mask in track.masks]
                if (i + video) % 3 == 0:
                    masks[1] = None  # about half of the overlap is gone
                category = ids[track.label_index] if (i + video) % 4 else ids[1 - track.label_index]
                content["annotations"].append(
                    {"id": len(content["annotations"]) + 1, "video_id": video, "iscrowd": 0, "segmentations": masks}
                    | {"category_id": category, "bboxes": [None, None], "areas": [None, None], **SIZE}
                )
    (tmp_path / "own.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.slow
def test_two_processes_have_the_figures_of_one(home):
    """Five videos dealt to two processes over gloo: both know what both found."""
    command = [sys.executable, str(Path(__file__).with_name("validation_run.py")), str(home)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    _, one = figures(home)
    assert all(0 < figure < 1 for figure in one.values()), one
    assert one["AP"] < one["AP50"]
    for rank in (0, 1):
        assert json.loads((home / f"figures-{rank}.json").read_text()) == one
