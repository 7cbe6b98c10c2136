"""Models by name, with their weights."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import torch
import torch.nn.functional as F

from ovvis.errors import InputError, OvvisError, ResourceError, nearest
from ovvis.files.output import make_way
from ovvis.models import download
from ovvis.models.accelerations import accelerations
from ovvis.models.checkpoint import CLASSES, Checkpoint, read_checkpoint, write_checkpoint
from ovvis.models.convert import decoder_depth, has_clip, query_count
from ovvis.models.default import candidates
from ovvis.models.devices import pick_device, pick_precision
from ovvis.models.export.names import is_exported
from ovvis.models.families import FAMILIES, build_model
from ovvis.models.model import Model
from ovvis.models.own_clip import pretrained_clip
from ovvis.models.packaged import packaged_model
from ovvis.models.places import weights_path
from ovvis.models.settings import UNTRAINED, FamilyConfig, Precision
from ovvis.models.stated import check_depth, stated_config
from ovvis.models.strict import TensorsDiffer, load_strictly
from ovvis.models.zoo import SMALL_MODEL, ZOO, ModelEntry, find_model
from ovvis.paths import user_path
from ovvis.structures import TextEmbeddings
from ovvis.version import __version__
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.models.export.exported import ExportedModel

_log = logging.getLogger(__name__)


def load_model(
    name: str | None = None,
    weights: str | Path | None = None,
    *,
    device: str = "auto",
    precision: Precision = "float32",
    on_progress: download.Progress | None = None,
    ignore_unused: bool = False,
    accelerate: str | Iterable[str] = (),
    **options: Any,
) -> Model | ExportedModel:
    """Return a model, ready to run.

    Args:
        name: a name of the zoo, or a file that `ovvis models export` wrote (.onnx), which ONNX Runtime runs. None takes
            the model that the checkpoint is of; without one too, the best whose weights are here, else the best openly
            licensed one, which is fetched, else the small one in the package (`models.default`); a logged line says
            which and why.
        weights: a checkpoint (the authors' `.pth` or our `.safetensors`); None takes the model's own, which lie in the
            package or are fetched on first use; "untrained" takes none, for trying the machinery.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best there is.
        precision: floating type of the network; "auto" is bfloat16 where the device is fast in it.
        on_progress: called with bytes done and bytes in all while weights are fetched.
        ignore_unused: whether to go on without tensors of a checkpoint that the model has not.
        accelerate: ways to be faster that are off unless they are asked for: of "kernels", "compile", "graph",
            "overlap", "batch" (see `ovvis.models.accelerations`), or "all".
        options: fields of the model's configuration that differ from the zoo's, such as `iou_activation="relu"`.

    Raises:
        InputError: an unknown model, option, device, precision or acceleration; a checkpoint that is not this model's.
        ResourceError: the weights are not here and cannot be fetched.
    """
    faster = accelerations(accelerate)
    if name is not None and is_exported(name):
        if faster:
            raise InputError(f"accelerate {', '.join(faster)}: ONNX Runtime runs model {name!r}; leave it out")
        return _exported(name, weights, device, precision, on_progress, options)
    where = pick_device(device)
    dtype = pick_precision(precision, where)
    given = None if weights in (None, UNTRAINED) else read_checkpoint(weights)
    if name is None and weights is None:
        return _default(options, on_progress, ignore_unused).for_inference(where, dtype, faster)
    entry = _recognise(given) if name is None and given is not None else find_model(name or SMALL_MODEL)
    _check_options(entry.family, options)
    pinned = options.get("decoder_layers")
    if weights == UNTRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(replace(entry.config, **options), entry.name)
    elif given is None:
        model = _with_own_weights(entry, options, on_progress, ignore_unused)
    else:
        if name not in (None, "clip-vis-r50", "clip-vis-convnext-b"):
            pinned = pinned or entry.config.decoder_layers
        model = build_from(given, entry, pinned, options, on_progress, ignore_unused=ignore_unused)
    return model.for_inference(where, dtype, faster)


def _exported(
    name: str,
    weights: str | Path | None,
    device: str,
    precision: str,
    on_progress: download.Progress | None,
    options: Mapping[str, Any],
) -> ExportedModel:
    """Return the model of an exported file, which leaves nothing to choose but the device."""
    from ovvis.models.export.exported import load_exported

    if weights is not None:
        raise InputError(f"model {name!r} holds its own weights: leave {str(weights)!r} out, or name the model")
    if options:
        raise InputError(f"option {next(iter(options))!r}: model {name!r} is as it was exported; set it there")
    return load_exported(name, device, precision, on_progress)


def _with_own_weights(
    entry: ModelEntry, options: Mapping[str, Any], on_progress: download.Progress | None, ignore_unused: bool
) -> Model:
    """Return a model of the zoo with its own weights."""
    found = own_weights(entry, on_progress, ignore_unused=ignore_unused)
    depth = options.get("decoder_layers") or entry.config.decoder_layers
    return build_from(found, entry, depth, options, on_progress)


def _default(options: Mapping[str, Any], on_progress: download.Progress | None, ignore_unused: bool) -> Model:
    """Return the best model that can be had where none is named; a line for each that cannot."""
    for choice in candidates():
        entry = find_model(choice.name)
        here = choice.to_fetch_bytes is None and not entry.packaged
        _log.log(logging.INFO if here else logging.WARNING, choice.line)
        _check_options(entry.family, options)
        try:
            return _with_own_weights(entry, options, on_progress, ignore_unused)
        except OvvisError as error:
            if entry.packaged:
                raise
            if isinstance(error, download.NotHad):  # each source's reason has been told
                _log.warning("%s: what to do about that is said by `ovvis models fetch %s`", entry.name, entry.name)
            else:
                _log.warning("%s", error)
    raise AssertionError("the last one lies in the package")


def build_from(
    checkpoint: Checkpoint,
    entry: ModelEntry,
    pinned_depth: int | None,
    options: Mapping[str, Any],
    on_progress: download.Progress | None = None,
    *,
    ignore_unused: bool = False,
) -> Model:
    """Return a model with a checkpoint's weights, on the CPU, in float32, not yet changed for inference.

    The decoder's depth and the number of its queries are what the tensors say: OV2Seg's authors configured 300 queries
    and evaluated with 100.

    Args:
        checkpoint: what `read_checkpoint` gave.
        entry: the zoo's line of the model asked for.
        pinned_depth: the number of decoder layers that was asked for, or None.
        options: fields of the configuration that differ from the zoo's.
        on_progress: called with bytes done and bytes in all while the CLIP's weights are fetched, if they must be.
        ignore_unused: whether to go on without tensors of the file that the model has not; `Model.notes` says so.

    Raises:
        InputError: the checkpoint is another model's.
    """
    where = f"checkpoint {str(checkpoint.path)!r}"
    _check_architecture(checkpoint, entry, where)
    depth = check_depth(decoder_depth(checkpoint.state), where)
    if pinned_depth is not None and depth != pinned_depth:
        deep = [other.name for other in _alike(checkpoint) if other.config.decoder_layers == depth]
        raise InputError(
            f"{where} has {depth} decoder layers, but {entry.name} was asked for with {pinned_depth}; name the model "
            f"that the file belongs to{': ' if deep else ''}{' or '.join(deep)}"
        )
    config: FamilyConfig = entry.config
    if checkpoint.config:
        config = stated_config(FAMILIES[entry.family].config, checkpoint.config, checkpoint.state, where)
    queries = query_count(checkpoint.state) or config.queries
    config = replace(config, **{"queries": queries, **options, "decoder_layers": depth})
    model = _built(config, entry, where)
    state = checkpoint.state
    if not has_clip(state):
        state = {**state, **pretrained_clip(config, on_progress)}
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    try:
        left = load_strictly(model, floats, where, checkpoint.unknown, ignore_unused=ignore_unused)
    except TensorsDiffer as error:
        error.report = f"{_headline(checkpoint.path, entry.name)}\n{error.report}"
        raise
    model.source = checkpoint.path.name
    if checkpoint.unwrapped:
        model.notes = (f"{where}: {checkpoint.unwrapped!r} before every tensor's name is left out",)
    if left:
        model.notes += (f"{where}: {len(left)} of its tensors are not used (first: {left[0]})",)
    model.texts = _texts(checkpoint, entry)
    return model


def _headline(path: Path, model: str) -> str:
    """Return what a report begins with; no folder, as it is for others' eyes."""
    size = path.stat().st_size if path.is_file() else 0
    return f"ovvis {__version__}, {model}, {path.name} of {size:,} bytes"


def _built(config: FamilyConfig, entry: ModelEntry, where: str) -> Model:
    """Return the untrained model of a configuration."""
    try:
        return build_model(config, entry.name)
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{where}: its configuration makes no model ({reason}); fetch it again, or mend it") from error


def _texts(checkpoint: Checkpoint, entry: ModelEntry) -> TextEmbeddings | None:
    """Return the vocabulary that a checkpoint carries, where the zoo knows whose labels they are."""
    if checkpoint.classes is None or not entry.vocabulary:
        return None
    names = Vocabulary.builtin(entry.vocabulary).names
    if len(names) != len(checkpoint.classes):
        return None
    return TextEmbeddings(F.normalize(checkpoint.classes.float(), dim=-1), torch.arange(len(names)), names)


def convert(
    source: str | Path | Checkpoint,
    target: str | Path,
    name: str | None = None,
    *,
    overwrite: bool = True,
    tell: Callable[[str], object] | None = None,
    on_progress: download.Progress | None = None,
    ignore_unused: bool = False,
) -> ModelEntry:
    """Convert an authors' checkpoint into our safetensors, after loading it strictly.

    Args:
        source: the authors' file, or what was read of one.
        target: the file to write.
        name: the model it must be; None finds out.
        overwrite: whether an older file may be replaced.
        tell: is called with what was changed in reading it.
        on_progress: called with bytes done and bytes in all while the CLIP's weights are fetched, if they must be.
        ignore_unused: whether to go on without tensors of the file that the model has not.

    Returns:
        The zoo's line of the model that it is.

    Raises:
        InputError: it is no checkpoint of a known model, or another than `name`; the target is there already.
        ResourceError: the target cannot be written.
    """
    target = user_path(target)
    make_way(target, overwrite)
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    entry = find_model(name) if name else _recognise(checkpoint)
    depth = entry.config.decoder_layers if name else None
    model = build_from(checkpoint, entry, depth, {}, on_progress, ignore_unused=ignore_unused)
    if tell is not None:
        for note in model.notes:
            tell(note)
    try:
        state = model.state_dict()
        if checkpoint.classes is not None:
            state[CLASSES] = checkpoint.classes
        write_checkpoint(target, state, model.family, asdict(model.config), overwrite=overwrite)
    except OvvisError:
        raise
    except OSError as error:
        raise ResourceError(
            f"{str(target)!r} cannot be written ({error.strerror or error}); choose another place"
        ) from error
    return entry


def own_weights(
    entry: ModelEntry, on_progress: download.Progress | None = None, *, ignore_unused: bool = False
) -> Checkpoint:
    """Return a model's own weights, from the package or from where its authors put them.

    Raises:
        InputError: the file here is not the one that was recorded.
        ResourceError: they are not here and cannot be fetched.
    """
    if entry.packaged:
        return packaged_model(entry)
    return read_checkpoint(fetch_weights(entry, on_progress, ignore_unused=ignore_unused))


def fetch_weights(
    entry: ModelEntry,
    on_progress: download.Progress | None = None,
    folder: Path | None = None,
    *,
    ignore_unused: bool = False,
) -> Path:
    """Return the published weights of a model; fetch, convert and verify them on first use, its CLIP's first.

    Args:
        entry: the zoo's line.
        on_progress: called with bytes done and bytes in all.
        folder: where they are kept; None for the cache folder.
        ignore_unused: whether to go on without tensors of the authors' file that the model has not.

    Raises:
        InputError: the file here is not the one that was recorded.
        ResourceError: they are not here and cannot be fetched.
    """
    target = weights_path(entry) if folder is None else folder / entry.file
    if not entry.published and not target.is_file():
        raise ResourceError(
            f"{entry.name}: no weights of it are published; train it, or give a checkpoint as --weights"
        )
    if target.is_file():
        download.check_checksum(target)
        return target

    def finish(raw: Path, made: Path) -> None:
        found = read_checkpoint(raw) if raw.suffix == ".safetensors" else None
        if found is not None and found.family is not None and has_clip(found.state):
            build_from(found, entry, entry.config.decoder_layers, {})
            shutil.copyfile(raw, made)  # bit by bit, so that its digest is the same on every machine
        else:
            convert(raw, made, entry.name, tell=_log.warning, on_progress=on_progress, ignore_unused=ignore_unused)

    download.fetch(entry.sources, target, finish, on_progress)
    return target


def _check_options(family: str, options: Mapping[str, Any]) -> None:
    kinds = get_type_hints(FAMILIES[family].config)
    for name, value in options.items():
        if name not in kinds:
            raise InputError(f"option {name!r}: {FAMILIES[family].title} has no such setting; {nearest(name, kinds)}")
        kind = kinds[name]
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                raise InputError(f"option {name}={value!r}: {nearest(str(value), get_args(kind))}")
        elif not _is_a(value, kind) or (kind is int and value < 1):
            rule = "a whole number of at least 1" if kind is int else f"a {getattr(kind, '__name__', kind)}"
            raise InputError(f"option {name}={value!r}: it must be {rule}")


def _is_a(value: Any, kind: Any) -> bool:
    """Return whether a value is of a setting's kind; a whole number is a fraction too, and a flag is neither."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or (isinstance(value, int) and isinstance(float(value), kind))


def _recognise(checkpoint: Checkpoint) -> ModelEntry:
    """Return the line of the zoo whose architecture and depth a checkpoint has, or at least its architecture.

    Raises:
        InputError: there is none, or several that the tensors do not tell apart.
    """
    alike, depth = _alike(checkpoint), decoder_depth(checkpoint.state)
    if not alike and checkpoint.config and depth:  # a user's own network, which its file describes
        alike = [entry for entry in ZOO.values() if entry.family == checkpoint.family]
    if not alike:
        such = next(iter((*checkpoint.unknown, *checkpoint.state)), "nothing")[:100]
        raise InputError(
            f"checkpoint {str(checkpoint.path)!r} belongs to no model of the zoo (it holds {such}, for one); see "
            "`ovvis models` for those it has"
        )
    found = [entry for entry in alike if entry.config.decoder_layers == depth] or alike[:1]
    if checkpoint.config is None:  # an authors' file is not of a model of ours
        found = [entry for entry in found if not entry.packaged] or found
    if len(found) > 1 and checkpoint.classes is not None:
        count = len(checkpoint.classes)
        found = [
            entry for entry in found if entry.vocabulary and len(Vocabulary.builtin(entry.vocabulary)) == count
        ] or found
    if len(found) > 1:
        names = " or ".join(entry.name for entry in found)
        raise InputError(f"checkpoint {str(checkpoint.path)!r} may be {names}: its tensors are alike; name the model")
    return found[0]


def _alike(checkpoint: Checkpoint) -> list[ModelEntry]:
    """Return the lines of the zoo whose architecture a checkpoint has."""
    return [entry for entry in ZOO.values() if _fits(entry, checkpoint)]


def _fits(entry: ModelEntry, checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint is of a line's architecture, from its configuration or else its tensors."""
    family = FAMILIES[entry.family]
    if checkpoint.config is None:
        return family.fits(entry.config, checkpoint.state)
    wanted = {mark: getattr(entry.config, mark) for mark in family.marks}
    return checkpoint.family == entry.family and wanted.items() <= checkpoint.config.items()


def _check_architecture(checkpoint: Checkpoint, entry: ModelEntry, where: str) -> None:
    """Refuse a checkpoint of another family or another architecture, naming both."""
    if checkpoint.family not in (None, entry.family):
        raise InputError(f"{where} is a {checkpoint.family} model, but {entry.name} ({entry.family}) was asked for")
    if checkpoint.config:
        unknown = sorted(checkpoint.config.keys() - {field.name for field in fields(FAMILIES[entry.family].config)})
        if unknown:
            raise InputError(f"{where} was written by a newer ovvis (setting {unknown[0]!r}); update ovvis")
    # An architecture that the zoo has not is a user's own network, which its file describes.
    names = [other.name for other in _alike(checkpoint)]
    if names and not _fits(entry, checkpoint):
        raise InputError(f"{where} is one of {names[0]}, but {entry.name} was asked for; ask for {names[0]}")
