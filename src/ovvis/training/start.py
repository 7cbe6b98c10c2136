"""The weights that a run begins with, and the file that it ends in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ovvis.errors import InputError, ResourceError, nearest
from ovvis.models.backbones.conv_clip import TrainedClipBackbone
from ovvis.models.backbones.pretrained import start_backbone
from ovvis.models.built import build_from
from ovvis.models.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ovvis.models.download import Progress
from ovvis.models.families import build_model
from ovvis.models.heads import ClassHead
from ovvis.models.model import Model
from ovvis.models.own_clip import pretrained_clip
from ovvis.models.own_weights import own_weights
from ovvis.models.settings import CLIP_ENCODER
from ovvis.models.strict import load_strictly
from ovvis.models.zoo import ZOO, find_model
from ovvis.paths import user_path
from ovvis.training import checkpoint
from ovvis.training.config import FRESH, ModelConfig, TrainConfig
from ovvis.training.logbook import METRICS
from ovvis.training.recipes import CONFIG_FILE, load_config

EXPORT = "model.safetensors"
NETWORK = "network."  # what the names of a network's tensors begin with
Say = Callable[[str], None]


def export_path(run: Path) -> Path:
    """Return where the model of a run, or of one of its checkpoint files, is written."""
    return _run_of(run) / f"model-{run.stem}.safetensors" if run.is_file() else run / EXPORT


def _run_of(file: Path) -> Path:
    """Return the folder of the run that a checkpoint file is of."""
    return file.absolute().parent.parent


def refuse_foreign(folder: Path) -> None:
    """Refuse to train in a folder where files that no checkpoint goes on from would be written over.

    Raises:
        InputError: names the file and the remedy.
    """
    if checkpoint.checkpoints(folder):
        return  # they say whose run it is
    remedy = "choose another --output, or remove it"
    if (folder / EXPORT).exists():
        raise InputError(f"{folder} holds a {EXPORT} and no checkpoint to go on from: {remedy}")
    if (folder / CONFIG_FILE).exists():
        try:
            load_config(folder / CONFIG_FILE)
        except InputError as error:
            raise InputError(f"{folder} holds a {CONFIG_FILE} that is no run's of ovvis: {remedy}") from error
    elif (folder / METRICS).exists():
        raise InputError(f"{folder} holds a {METRICS} and no run of ovvis: {remedy}")


def starting_model(config: TrainConfig, on_progress: Progress | None = None, say: Say | None = None) -> Model:
    """Return the model that a run begins with, on the CPU, in float32, its CLIP frozen.

    Args:
        config: the run's settings; `config.model.weights` says which weights.
        on_progress: called with bytes done and in all while weights are fetched.
        say: told in a line which of the network's tensors were taken from where, and which are as drawn.

    Raises:
        InputError: the weights are of another architecture, or not there.
        ResourceError: weights cannot be fetched.
    """
    try:
        return _starting_model(config, on_progress, say or _untold)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"model.network cannot be built: {error}; change it") from error


def _untold(line: str) -> None:
    del line


def _starting_model(config: TrainConfig, on_progress: Progress | None, say: Say) -> Model:
    asked = config.model
    if asked.weights in FRESH:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.run.seed)
            try:
                model = build_model(asked.network, asked.name)
            except (RuntimeError, TypeError, OverflowError) as error:  # sizes that go together in no tensor
                line = (str(error).splitlines() or [type(error).__name__])[0]
                raise InputError(f"model.network cannot be built ({line[:200]}); change its sizes") from error
        if asked.weights == "clip":
            load_strictly(
                model,
                {**model.state_dict(), **pretrained_clip(asked.network, on_progress)},
                f"CLIP {asked.network.clip}",
            )
            model.source = "CLIP's own"
            if asked.backbone:
                _start_backbone(model, asked, on_progress)
        if asked.decoders:
            _take_parts(model, asked, _made_before(asked.decoders, on_progress).state, say)
        return model
    entry = replace(find_model(asked.name), config=asked.network)
    place = asked.name if asked.weights == "published" else asked.weights
    found = _made_before(place, on_progress)
    # The tensors must fit; settings that no tensor tells, such as a code of time, are the recipe's to change.
    model = build_from(replace(found, config=None), entry, asked.network.decoder_layers, asdict(asked.network))
    say(f"The network begins with {place}: {_counted(found.state)}")
    return model


def _take_parts(model: Model, asked: ModelConfig, found: Mapping[str, Tensor], say: Say) -> None:
    """Put parts of another network into a fresh one."""
    own, place = model.state_dict(), f"decoders of {asked.decoders}"
    known = {name.split(".")[1] for name in own if name.startswith(NETWORK)}
    for part in asked.taken:
        for whose, names in (("the network", own), (asked.decoders, found)):
            if not _of(part, names):
                raise InputError(f"model.taken: {whose} has no {part!r}; {nearest(part, known)}")
    taken = {name: tensor for part in asked.taken for name, tensor in _of(part, found).items()}
    load_strictly(model, {**own, **taken}, place)
    rest = {name for name in own if name.startswith(NETWORK) and name not in taken}
    line = f"The network begins with parts of {asked.decoders}: {_counted(taken)}"
    if asked.weights == "clip" and asked.backbone and (begun := rest & _of("backbone", own).keys()):
        rest -= begun
        line += f"; of model.backbone {asked.backbone}: {_counted(begun)}"
    line += f"; as drawn: {_counted(rest)}"
    head = model.network.class_head
    if isinstance(head, ClassHead) and _of("class_head", taken) and not _of("class_head.alignment", taken):
        line += "; the alignment adds nothing at first" if head.begin_unaligned() else ""
    say(line)


def _of(part: str, names: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in names.items() if name.startswith(f"{NETWORK}{part}.")}


def _counted(names: Collection[str]) -> str:
    """Return how many tensors of each part of a network are among names."""
    counts = Counter(name.split(".")[1] for name in names if name.startswith(NETWORK))
    return ", ".join(f"{part} {count}" for part, count in sorted(counts.items())) + " tensors" if counts else "nothing"


def _start_backbone(model: Model, asked: ModelConfig, on_progress: Progress | None) -> None:
    architecture = getattr(asked.network, "backbone", None)
    if architecture is None:
        raise InputError(f"model.backbone is {asked.backbone!r}, but the backbone of {asked.name} is its CLIP; drop it")
    backbone = model.network.backbone
    if isinstance(backbone, TrainedClipBackbone):
        if asked.backbone != CLIP_ENCODER:
            raise InputError(
                f"model.backbone is {asked.backbone!r}, but it must be {CLIP_ENCODER!r}, as the network's is"
            )
        backbone.copy_weights(model.clip)
    else:
        start_backbone(backbone, architecture, asked.backbone, on_progress)


def trained_model(folder: Path, on_progress: Progress | None = None) -> tuple[Model, int]:
    """Return the model of a run's last checkpoint, and the steps that it had done.

    It has the mean of the weights where the run keeps one.

    Args:
        folder: the run's, or one of its checkpoint files, such as `checkpoints/best.pt`.
        on_progress: called with bytes done and in all while weights are fetched.

    Raises:
        InputError: the folder holds no run, or no checkpoint yet.
    """
    if folder.is_file():
        config, state = run_config(_run_of(folder)), checkpoint.read(folder)
    else:
        config, last = run_config(folder), checkpoint.latest(folder)
        if last is None:
            raise InputError(f"{folder} has no checkpoint yet; train on, with the same command")
        state = last
    # Frozen weights that the checkpoint leaves out come from where the run had them.
    model = starting_model(config, on_progress)
    trained: Mapping[str, Tensor] = {
        # What only training a CLIP needs stays behind.
        name: weight
        for name, weight in {**state.weights, **state.ema}.items()
        if not name.startswith("anchors.")
    }
    load_strictly(model, {**model.state_dict(), **trained}, f"checkpoint of {folder}")
    return model, state.step


def export(model: Model, target: Path) -> Path:
    """Write a model as the `.safetensors` that `load_model` and `ovvis segment --weights` read, CLIP with it.

    Raises:
        ResourceError: it cannot be written.
    """
    try:
        write_checkpoint(target, model.state_dict(), model.family, asdict(model.config))
    except OSError as error:
        raise ResourceError(
            f"{target} cannot be written ({error.strerror or error}); free some space, then ovvis train --export "
            f"{target.parent}"
        ) from error
    return target


def run_config(folder: Path) -> TrainConfig:
    """Return the settings of a run.

    Raises:
        InputError: the folder holds no run.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{folder} holds no run: it has no {CONFIG_FILE}; give the --output of `ovvis train`")
    return load_config(folder / CONFIG_FILE)


def _made_before(place: str, on_progress: Progress | None) -> Checkpoint:
    """Return the weights of a model of the zoo, a checkpoint file, or an earlier run: its export or last checkpoint."""
    if place in ZOO:
        return own_weights(find_model(place), on_progress)
    folder = user_path(place)
    if folder.is_file() and folder.absolute().parent.name == checkpoint.FOLDER:
        model, _ = trained_model(folder, on_progress)  # a checkpoint of a run
        return Checkpoint(folder, model.state_dict(), model.family, asdict(model.config))
    if not folder.is_dir():
        return read_checkpoint(place)
    if (folder / EXPORT).is_file():
        return read_checkpoint(folder / EXPORT)
    model, _ = trained_model(folder, on_progress)
    return Checkpoint(folder, model.state_dict(), model.family, asdict(model.config))
