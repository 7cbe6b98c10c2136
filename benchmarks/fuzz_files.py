"""Kinds of binary files that `fuzz.py` bends: embeddings, checkpoints, pictures, masks, videos."""

from __future__ import annotations

import io
import json
import math
import pickle
import random
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from fuzz_bend import HEIGHT, WIDTH, Kind, bent_bytes, odd, read_masks
from ovvis.datasets.mask_folder import MaskFolder, convert_masks
from ovvis.datasets.open import open_dataset
from ovvis.models.load import load_model
from ovvis.models.text_file import text_from_file
from ovvis.sources.video import open_source
from ovvis.vocabulary import Vocabulary

# Tensors.


def bend_text_matrix(random: random.Random, folder: Path) -> Path:
    """Write a matrix of text embeddings."""
    shape = random.choice([(2, 24), (2, 24), (3, 24), (24,), (0, 24), (2, 0), (1, 2, 24), ()])
    array = np.random.default_rng(random.randrange(2**32)).normal(size=shape)
    if array.size and random.random() < 0.2:
        array.flat[0] = random.choice([math.nan, math.inf, 1e300])
    kind = random.choice(["f4", "f8", ">f4", "i8", "c8", "O", "U3", "f2", "?"])
    with np.errstate(all="ignore"):
        array = array.astype(kind)
    suffix = random.choice([".npy", ".npy", ".npz", ".safetensors", ".pt", ".pth"])
    path = folder / f"text{suffix}"
    if suffix == ".npz":
        np.savez(path, a=array)
    elif suffix == ".npy":
        np.save(path, np.asfortranarray(array) if random.random() < 0.3 else array, allow_pickle=True)
    else:
        state = tensors(random)
        write_tensors(random, path, state if random.random() < 0.5 else {"text": torch.randn(2, 24)})
    return scarred(random, path)


def tensors(random: random.Random) -> dict[str, torch.Tensor]:
    """Return a few tensors under names of a checkpoint."""
    names = [
        "clip.model.text_projection",
        "network.query_decoder.x",
        "sem_seg_head.predictor.y",
        "module.a",
        "model.b",
        "",
    ]
    kinds = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64]
    shapes = [(2, 24), (0,), (), (3, 3, 3), (1, 1)]
    return {random.choice(names): torch.zeros(random.choice(shapes), dtype=random.choice(kinds)) for _ in range(3)}


class Thing:
    """What no file of weights should ask for."""


def write_tensors(random: random.Random, path: Path, state: dict[str, torch.Tensor]) -> None:
    """Write tensors, in one of the shapes that people's checkpoints have."""
    if path.suffix == ".safetensors":
        about = {"family": random.choice(["clip-vis", "x", ""]), "config": json.dumps(odd(random))}
        path.write_bytes(save(state, metadata=random.choice([None, about, {"ovvis": json.dumps(about)}])))
        return
    content: Any = random.choice(
        [state, {"model": state}, {"state_dict": state}, [state], {"model": 3}, 7, None, "x", {}]
    )
    if random.random() < 0.15:
        path.write_bytes(
            pickle.dumps(random.choice([content if content is not state else {}, Thing(), np.zeros(3), print]))
        )
    else:
        torch.save(content, path)


def bend_checkpoint(random: random.Random, folder: Path) -> Path:
    """Write a checkpoint."""
    path = folder / f"weights{random.choice(['.safetensors', '.pth', '.pt', '.pkl', '.ckpt'])}"
    write_tensors(random, path, tensors(random))
    return scarred(random, path)


def scarred(random: random.Random, path: Path) -> Path:
    """Bend a file's bytes most of the time."""
    if random.random() < 0.7:
        path.write_bytes(bent_bytes(random, path.read_bytes()))
    return path


# Pictures and videos.


def picture(i: int, mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    """Return a picture of any mode."""
    image = Image.new("RGB", size, ((40 * i) % 256, 90, 200))
    image.paste((250, 20, 30), (i % size[0], 2, i % size[0] + 5, 12))
    if mode in ("I;16", "F", "I"):
        return Image.fromarray(
            (np.asarray(image.convert("L")).astype(float) * 16).astype({"I;16": "u2", "F": "f4", "I": "i4"}[mode])
        )
    return image.convert(mode)


PICTURES = [
    (".png", "RGB"), (".png", "RGBA"), (".png", "L"), (".png", "I;16"), (".png", "P"), (".png", "1"), (".jpg", "RGB"),
    (".jpg", "CMYK"), (".jpg", "L"), (".bmp", "RGB"), (".webp", "RGB"), (".tif", "RGB"), (".tif", "F"), (".tif",
    "I;16"),
    (".tiff", "I"), (".gif", "P"),
]  # fmt: skip


def bend_pictures(random: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write a folder of pictures, or one that may hold several."""
    suffix, mode = random.choice(PICTURES)
    several = (
        suffix in (".png", ".webp", ".tif", ".gif") and mode in ("RGB", "RGBA", "L", "P") and random.random() < 0.4
    )
    home = folder / "frames"
    home.mkdir()
    for i in range(1 if several else random.choice([1, 2, 3])):
        more = {"save_all": True, "append_images": [picture(i + k, mode) for k in (1, 2, 3)]} if several else {}
        picture(i, mode).save(home / f"{i}{suffix}", **more)
    scarred(random, random.choice(sorted(home.iterdir())))
    if random.random() < 0.1:
        (home / "x.png").write_bytes(random.randbytes(random.randrange(60)))
    return (home if random.random() < 0.6 else min(home.iterdir())), span(random)


def span(random: random.Random) -> dict[str, Any]:
    """Return which frames are asked for."""
    if random.random() < 0.6:
        return {}
    return {
        "start": random.choice([None, "0.1", "1f", 0.05, "3f"]),
        "every": random.choice([1, 2, 3]),
        "max_frames": random.choice([None, 1, 5]),
    }


def use_source(given: tuple[Path, dict[str, Any]]) -> None:
    """Read a source as far as it goes."""
    path, options = given
    source = open_source(path, **options)
    seen: set[int] = set()
    for frame in islice(source, 600):
        assert frame.index not in seen, f"index {frame.index} twice"  # masks would be painted on another frame
        assert frame.image.shape == (source.info.height, source.info.width, 3) and frame.image.dtype == np.uint8
        seen.add(frame.index)


def bend_masks(random: random.Random, folder: Path) -> Path:
    """Write frames and masks as `ovvis datasets convert` takes them."""
    for t in range(2):
        for name, image, suffix in (("JPEGImages", picture(t), ".jpg"), ("Annotations", None, ".png")):
            home = folder / name / "a"
            home.mkdir(parents=True, exist_ok=True)
            if image is None:
                values = np.zeros((HEIGHT, WIDTH), random.choice(["u1", "u1", "u2"]))
                for _ in range(random.randrange(4)):
                    x, y = random.randrange(WIDTH), random.randrange(HEIGHT)
                    values[y : y + 9, x : x + 9] = random.choice([1, 2, 3, 128, 255, 7000]) % np.iinfo(values.dtype).max
                image = Image.fromarray(values)
                if values.dtype == np.uint8:
                    image = image.convert(random.choice(["L", "P", "RGB", "RGBA", "1"]))
            image.save(home / f"{t:05d}{suffix}")
    if random.random() < 0.6:
        scarred(random, random.choice(sorted(folder.rglob("*.*g"))))
    return folder


def use_masks(folder: Path) -> None:
    """Convert frames and masks, and read what came of it."""
    target = folder / "own.json"
    convert_masks(MaskFolder.find(folder), target)
    read_masks(open_dataset(target))


VIDEOS = [
    (".mp4", "libx264", {"bf": "2", "g": "10"}), (".mkv", "libx264", {"bf": "2"}), (".ts", "libx264", {"g": "8"}),
    (".avi", "mpeg4", {"bf": "2"}), (".webm", "libvpx-vp9", {"deadline": "realtime"}), (".webm", "libvpx", {}),
    (".mov", "mjpeg", {}), (".ts", "mpeg2video", {"bf": "2"}), (".mp4", "libx265", {"x265-params": "log-level=none"}),
    (".mkv", "ffv1", {}), (".flv", "libx264", {}), (".h264", "libx264", {}),
]  # fmt: skip
_made: dict[int, bytes] = {}


def video(number: int) -> bytes:
    """Return a sound video of 40 frames."""
    if number not in _made:
        suffix, codec, options = VIDEOS[number]
        file = io.BytesIO()
        name = {".mkv": "matroska", ".ts": "mpegts"}.get(suffix, suffix[1:])
        with av.open(file, "w", format=name) as container:
            stream = container.add_stream(codec, rate=Fraction(25), options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for i in range(40):
                frame = av.VideoFrame.from_image(picture(i, size=(64, 48)))
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode(None):
                container.mux(packet)
        _made[number] = file.getvalue()
    return _made[number]


def bend_video(random: random.Random, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write a video with damaged bytes."""
    number = random.randrange(len(VIDEOS))
    path = folder / f"video{VIDEOS[number][0]}"
    path.write_bytes(bent_bytes(random, video(number), random.choice([1, 4, 20])))
    return path, span(random)


LABELS = Vocabulary(["abc", "def"])
KINDS: dict[str, Kind] = {
    "text embeddings": Kind(4_000, bend_text_matrix, lambda path: text_from_file(path, LABELS)),
    "checkpoint": Kind(4_000, bend_checkpoint, lambda path: load_model(weights=path, device="cpu")),
    "pictures": Kind(3_500, bend_pictures, use_source),
    "mask folder": Kind(1_500, bend_masks, use_masks),
    "video": Kind(2_000, bend_video, use_source),
}
