"""A painted dataset: every instance has a colour of its own, so that pixels tell where masks must be."""

import numpy as np
from PIL import Image

from ovvis.datasets.annotations import Annotations, Video
from ovvis.evaluation.records import Category, TruthTrack
from ovvis.masks import encode

COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250))  # by label
CATEGORIES = (Category(1, "red", ("frequent",)), Category(2, "green", ("common",)), Category(5, "blue", ("rare",)))


def paint(folder, lengths, name="painted", size=(48, 64), instances=2, seed=0):
    """Write videos of moving rectangles below a folder and return their annotations.

    Args:
        folder: where to.
        lengths: frames of each video; 1 for an image.
        name: of the dataset.
        size: height and width.
        instances: of each video; at most 3, each of another category.
        seed: of the places.
    """
    rng = np.random.default_rng(seed)
    height, width = size
    videos, truths = [], []
    for v, length in enumerate(lengths):
        files = []
        masks = [[] for _ in range(instances)]
        corners = rng.integers(0, (height // 2, width // 2), (instances, 2))
        for t in range(length):
            image = np.zeros((height, width, 3), dtype=np.uint8)
            owner = np.full((height, width), -1)
            for i in range(instances):
                y, x = (corners[i] + t) % (height // 2, width // 2)
                owner[y : y + height // 3, x : x + width // 3] = i
            for i in range(instances):
                image[owner == i] = COLOURS[i]
                masks[i].append(encode(owner == i) if (owner == i).any() else None)
            files.append(f"{name}-{v}/{t:03}.png")
            (folder / files[-1]).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / files[-1])
        videos.append(Video(v + 1, f"{name}-{v}", height, width, tuple(files)))
        truths += [TruthTrack(10 * (v + 1) + i, v + 1, CATEGORIES[i].id, tuple(masks[i])) for i in range(instances)]
    return Annotations(name, folder, CATEGORIES, tuple(videos), truths)
