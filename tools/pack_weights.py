"""Write a trained model into the package: its CLIP and the rest in a file each, matrices in float16.

Usage: python tools/pack_weights.py MODEL.safetensors [--name NAME] [--only clip|network] [--folder DIR]

MODEL.safetensors is what `ovvis train` exports, its CLIP with it. Vectors (norms, biases, statistics) stay in float32:
they take little room, and statistics of deep layers are too small for float16. Sizes, SHA-256 and the largest rounding
are printed. A CLIP's file that is there already is kept where it holds the same weights, and refused where it does not
unless --only clip says that it is to be replaced: other models may have been trained on it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ovvis.errors import InputError, OvvisError
from ovvis.models.built import build_from
from ovvis.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ovvis.models.clip import FrozenClip
from ovvis.models.convert import TensorDict
from ovvis.models.download import sha256
from ovvis.models.families import FAMILIES
from ovvis.models.packaged import CLIP_FAMILY
from ovvis.models.places import FOLDER
from ovvis.models.strict import load_strictly
from ovvis.models.zoo import ModelEntry, find_model

CLIP = "clip."
FREE = ("clip_weights", "none_logit", "birth", "names", "silence", "short_edge")
"""Settings that weights do not depend on: known only after training, or of use only then."""


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--name", default="clip-vis-stickers", help="the zoo's line that it becomes")
    parser.add_argument("--only", choices=("clip", "network"))
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args(words)
    try:
        for line in pack(read_checkpoint(asked.model), find_model(asked.name), asked.folder, asked.only):
            print(line)
    except OvvisError as error:
        sys.exit(f"pack_weights: {error}")


def pack(source: Checkpoint, entry: ModelEntry, folder: Path, only: str | None = None) -> list[str]:
    """Write a model's packaged files and return what to say of each.

    Args:
        source: the export, CLIP with it.
        entry: the zoo's line that it becomes.
        folder: of the package's weights.
        only: "clip" or "network"; None: both.

    Raises:
        InputError: it is another model's, its settings are not the zoo's, or the folder holds another CLIP.
    """
    state = _clip_state(source, entry) if only == "clip" else _whole_state(source, entry)
    clip = small({name: tensor for name, tensor in state.items() if name.startswith(CLIP)})
    file = folder / f"{entry.config.clip}.safetensors"
    about = {"clip": entry.config.clip, "weights": entry.config.clip_weights}
    said = []
    if only != "network" and not _same(file, clip, replace_it=only == "clip"):
        write_checkpoint(file, clip, CLIP_FAMILY, about)
    if only != "clip":
        if not _same(file, clip, replace_it=False):
            raise InputError(f"{file} is not there; pack the CLIP too")
        network = small({name: tensor for name, tensor in state.items() if not name.startswith(CLIP)})
        target = folder / f"{entry.name}.safetensors"
        write_checkpoint(target, network, entry.family, asdict(entry.config))
        said.append(_line(target, network, state))
    return [_line(file, clip, state), *said]


def _whole_state(source: Checkpoint, entry: ModelEntry) -> TensorDict:
    _check_settings(source, entry)
    # Loading refuses a wrong or missing tensor.
    return build_from(source, entry, entry.config.decoder_layers, {}).state_dict()


def _clip_state(source: Checkpoint, entry: ModelEntry) -> TensorDict:
    """Return the CLIP's part alone; the network beside it may be any."""
    clip = FrozenClip(entry.config.clip, entry.config.quick_gelu)
    own = {name.removeprefix(CLIP): tensor for name, tensor in source.state.items() if name.startswith(CLIP)}
    load_strictly(clip, own, f"checkpoint {str(source.path)!r}")
    return {CLIP + name: tensor for name, tensor in clip.state_dict().items()}


def small(state: Mapping[str, Tensor]) -> TensorDict:
    """Return tensors as they are packed: matrices in float16, vectors as they are.

    Raises:
        InputError: a weight is too large for float16.
    """
    made = {}
    for name, tensor in state.items():
        made[name] = tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor.clone()
        if not made[name].isfinite().all():
            raise InputError(f"{name} holds {tensor.abs().max():.3g}, which float16 cannot; keep it in float32")
    return made


def _check_settings(source: Checkpoint, entry: ModelEntry) -> None:
    """Refuse an export that the zoo's line does not describe; where its weights came from is another matter."""
    config = FAMILIES[entry.family].config(**(source.config or {}))
    wanted = asdict(entry.config)
    made = asdict(replace(config, **{name: wanted[name] for name in FREE if name in wanted}))
    for name, value in wanted.items():
        if made[name] != value:
            raise InputError(
                f"{source.path} was trained with {name} {made[name]!r}, but the zoo's {entry.name} says {value!r}; "
                "make them agree"
            )


def _same(file: Path, clip: TensorDict, replace_it: bool) -> bool:
    """Return whether a CLIP's file is there with these weights."""
    if not file.is_file():
        return False
    there = read_checkpoint(file).state
    same = there.keys() == clip.keys() and all(torch.equal(there[name], clip[name]) for name in clip)
    if not same and not replace_it:
        raise InputError(f"{file} holds another CLIP; replace it with --only clip, and retrain what was made with it")
    return same


def _line(file: Path, packed: TensorDict, state: Mapping[str, Tensor]) -> str:
    worst = max(
        float((tensor.float() - state[name].float()).abs().max() / state[name].float().abs().max().clamp(min=1e-12))
        for name, tensor in packed.items()
    )
    count = sum(tensor.numel() for tensor in packed.values())
    size = file.stat().st_size
    return f"{file}: {size:,} bytes, {count:,} numbers, rounding at most {worst:.1e}, SHA-256 {sha256(file)}"


if __name__ == "__main__":
    main()
