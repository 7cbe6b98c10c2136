"""Kinds of text that `fuzz.py` bends: datasets, results, recipes, assignments, labels."""

from __future__ import annotations

import io
import json
import random
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from fuzz_bend import HEIGHT, WIDTH, Kind, as_json, attempts, bent_bytes, bent_document, read_masks
from ovvis import masks
from ovvis.datasets.check import check
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.problems import Problems
from ovvis.outputs.formats.tracks_json import load_tracks, save_tracks
from ovvis.predictions.result_files import ResultFiles
from ovvis.structures import Track, VideoResult
from ovvis.training.recipes import load_config, recipes
from ovvis.vocabulary import Vocabulary, read_prompts

CATEGORIES = [
    {"id": 1, "name": "cat", "partition": 2, "frequency": "r", "split": "common"},
    {"id": 4, "name": "dog", "partition": 0, "frequency": "f", "split": "uncommon"},
]

_CODE = masks.encode(np.arange(WIDTH)[None].repeat(HEIGHT, 0) < 3)
MASK = {"size": [HEIGHT, WIDTH], "counts": _CODE["counts"].decode()}
FRAMES = ["a/00000.jpg", "a/00001.jpg"]
DOCUMENTS: dict[str, Any] = {
    "youtube-vis": {
        "videos": [
            {"id": 7, "height": HEIGHT, "width": WIDTH, "length": 2, "file_names": FRAMES, "neg_category_ids": [4]}
        ],
        "categories": CATEGORIES,
        "annotations": [
            {
                "id": 1,
                "video_id": 7,
                "category_id": 1,
                "segmentations": [MASK, None],
                "areas": [72, None],
                "iscrowd": 0,
            },
            {"id": 2, "video_id": 7, "category_id": 4, "segmentations": [[[0, 0, 9, 0, 9, 9]], MASK]},
        ],
    },
    "coco": {
        "images": [{"id": 7, "height": HEIGHT, "width": WIDTH, "file_name": FRAMES[0]}],
        "categories": CATEGORIES,
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 1, "segmentation": MASK, "area": 2.5, "iscrowd": 1},
            {"id": 3, "image_id": 7, "category_id": 4, "segmentation": [[0, 0, 9, 0, 9, 9]]},
        ],
    },
    "burst": {
        "split": "val",
        "categories": CATEGORIES,
        "sequences": [
            {
                "id": 3,
                "height": HEIGHT,
                "width": WIDTH,
                "seq_name": "a",
                "dataset": "AVA",
                "annotated_image_paths": ["00000.jpg", "00001.jpg"],
                "neg_category_ids": [4],
                "not_exhaustive_category_ids": [],
                "track_category_ids": {"1": 4, "5": 1},
                "segmentations": [{"1": {"rle": MASK["counts"]}}, {"5": {"rle": MASK["counts"]}}],
            }
        ],
    },
    "coco-video": {
        "videos": [{"id": 1, "name": "a", "height": HEIGHT, "width": WIDTH}],
        "images": [
            {"id": i + 1, "video_id": 1, "frame_id": i, "file_name": f, "height": HEIGHT, "width": WIDTH}
            for i, f in enumerate(FRAMES)
        ],
        "categories": CATEGORIES,
        "annotations": [
            {"id": i + 1, "image_id": i + 1, "video_id": 1, "instance_id": 1, "category_id": 1, "segmentation": MASK}
            for i in range(2)
        ],
    },
}
RESULTS = [{"video_id": 7, "category_id": category, "score": 0.9, "segmentations": [MASK, None]} for category in (1, 4)]

# Datasets and results.


def dataset_kind(name: str) -> Kind:
    """Return the kind for a format of datasets."""

    def bend(random: random.Random, folder: Path) -> Path:
        path = folder / "own.json"
        path.write_bytes(as_json(random, bent_document(random, DOCUMENTS[name])))
        return path

    return Kind(9000, bend, use_dataset)


def use_dataset(path: Path) -> None:
    """Read a dataset strictly, leniently, and check it."""
    calls = (
        lambda: open_dataset(path),
        lambda: open_dataset(path, problems=Problems(refuse=False)),
        lambda: check(find_dataset(path), look_at_frames=False).as_json(),
    )
    attempts([lambda call=call: read_masks(call()) for call in calls])


def bend_results(random: random.Random, folder: Path) -> Path:
    """Write a dataset and results for it: JSON, a zip, or a folder."""
    (folder / "own.json").write_text(json.dumps(DOCUMENTS["youtube-vis"]))
    data = as_json(random, bent_document(random, RESULTS))
    what = random.random()
    if what < 0.6:
        (folder / "res.json").write_bytes(data)
        return folder / "res.json"
    if what < 0.8:
        (folder / "res").mkdir()
        for name in random.sample(["a.json", "._a.json", "b.txt", ".hidden.json"], 2):
            (folder / "res" / name).write_bytes(data)
        return folder / "res"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in random.sample(["results.json", "__MACOSX/._results.json", "a/b.json", "../c.json", "x.txt"], 2):
            archive.writestr(name, data)
    packed = file.getvalue()
    (folder / "res.zip").write_bytes(bent_bytes(random, packed, 3) if random.random() < 0.6 else packed)
    return folder / "res.zip"


def use_results(path: Path) -> None:
    """Read results against their dataset."""
    truth = open_dataset(path.parent / "own.json")
    for tracks in ResultFiles(str(path), truth):
        for track in tracks:
            list(track.masks)


def tracks_document() -> Any:
    """Return the content of a sound `tracks.json`."""
    mask = masks.encode(np.eye(HEIGHT, WIDTH, dtype=bool))
    track = Track(1, "dog", 0, 0.9, (("dog", 0.9), ("cat", 0.1)), [mask, None])
    result = VideoResult([track], "dog.mp4", HEIGHT, WIDTH, 24.0, [0, 1], [0.0, 0.04], ("dog", "cat"))
    with tempfile.TemporaryDirectory() as home:
        save_tracks(result, Path(home) / "tracks.json")
        return json.loads((Path(home) / "tracks.json").read_text())


def bend_tracks(random: random.Random, folder: Path) -> Path:
    """Write a bent `tracks.json`."""
    path = folder / "tracks.json"
    path.write_bytes(as_json(random, bent_document(random, tracks_document())))
    return path


# Settings and words.

YAML_ODD = [
    "2024-13-45", "!!binary x", "!!python/object:os.system [a]", "0b", "0x", "1e-3", "&a [*a]", "*missing",
    "{a: {b: c}",
    "[1, 2", "? [a]: b", "<<: 3", "!!set {a}", "!!timestamp x", "!!int x", "!!float x", ".nan", ".inf", "1_000", "0o8",
    "9" * 400, "-" * 40, "'", '"', "|\n  a", ">\n  b", "\t", "null", "~", "yes", "{[a]: b}", "{{a: b}: c}", "\u0085",
    "[" * 300, "{a: " * 300, "&a [x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]", "%YAML 9.9",
    "--- a\n--- b", "\0",
]  # fmt: skip


def bend_yaml(random: random.Random, folder: Path) -> tuple[Path | None, list[str]]:
    """Write a bent recipe."""
    lines = random.choice(sorted(recipes().values())).read_text(encoding="utf-8").splitlines()
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(lines))
        what = random.randrange(6)
        key, colon, _ = lines[at].partition(":")
        if what <= 2 and colon:
            lines[at] = f"{key}: {random.choice(YAML_ODD)}"
        elif what == 3:
            lines.insert(at, random.choice(YAML_ODD))
        elif what == 4:
            lines.insert(at, random.choice(lines))
        else:
            lines[at] = " " * random.randrange(5) + lines[at].lstrip()
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    path = folder / "own.yaml"
    path.write_bytes(bent_bytes(random, data, 3) if random.random() < 0.3 else data)
    return path, []


SETTINGS = [
    "run.steps", "run.precision", "run", "model", "model.name", "model.weights", "model.network.width", "model.parts",
    "optimizer.rate", "optimizer.kind", "data", "data.parts", "validation.dataset", "nothing", "a.b.c", "", ".",
    "run..steps",
]  # fmt: skip


def bend_set(random: random.Random, folder: Path) -> tuple[Path | None, list[str]]:
    """Return assignments as of `--set`."""
    del folder
    texts = []
    for _ in range(random.randint(1, 3)):
        value = random.choice([*YAML_ODD, "1", "0.5", "bf16-mixed", "[a]", "{}", "muon"])
        texts.append(random.choice(SETTINGS) + random.choice(["=", "=", "=", "", "==", ":"]) + value)
    return None, texts


WORDS = ["dog", "traffic light", "cat|kitten", "", " ", "1. dog", "0: dog", "names:", "- dog", "a,b", "[", "{",
         "'x", '"y"', "#",
         "name", "id,name", "\u202ered", "\x1b[0m", "é", "x" * 3000, "@", "lvvis", "{}", "\\", "null", "3", "|",
         "a||b", "~"]  # fmt: skip


def bend_words(random: random.Random, folder: Path) -> str:
    """Return `--labels`: text, or a file of some kind."""
    words = [random.choice(WORDS) for _ in range(random.randrange(1, 7))]
    what = random.random()
    if what < 0.4:
        return random.choice([", ", ",", "\n", ";", " | "]).join(words)
    suffix = random.choice([".txt", ".json", ".yaml", ".csv", ".tsv", "", ".names"])
    root = random.choice(
        [words, {"names": words}, {"names": dict(enumerate(words))}, {"categories": [{"name": words[0]}]}]
    )
    text = {".json": json.dumps(root), ".yaml": json.dumps(root)}.get(suffix, "\n".join(words))
    path = folder / f"words{suffix}"
    data = text.encode(random.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]), "replace")
    path.write_bytes(bent_bytes(random, data, 3) if random.random() < 0.4 else data)
    return f"@{path}" if random.random() < 0.8 else str(path)


def use_words(text: str) -> None:
    """Read labels, and the same file as prompts."""
    attempts([lambda: Vocabulary.parse(text), lambda: read_prompts(Path(text.removeprefix("@")[:200]))])


def use_settings(given: tuple[Path | None, list[str]]) -> None:
    """Read a recipe and assignments."""
    load_config(given[0], given[1])


KINDS: dict[str, Kind] = {
    **{f"dataset, {name}": dataset_kind(name) for name in DOCUMENTS},
    "results": Kind(11_000, bend_results, use_results),
    "tracks.json": Kind(8_000, bend_tracks, load_tracks),
    "recipe": Kind(11_000, bend_yaml, use_settings),
    "assignments": Kind(8_000, bend_set, use_settings),
    "labels": Kind(11_000, bend_words, use_words),
}
