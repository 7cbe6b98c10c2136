"""Which model of the zoo a checkpoint is of."""

from __future__ import annotations

from dataclasses import fields

from ovvis.errors import InputError
from ovvis.models.checkpoint import Checkpoint
from ovvis.models.convert import decoder_depth
from ovvis.models.families import FAMILIES
from ovvis.models.zoo import ZOO, ModelEntry
from ovvis.vocabulary import Vocabulary


def recognise(checkpoint: Checkpoint) -> ModelEntry:
    """Return the line of the zoo whose architecture and depth a checkpoint has, or at least its architecture.

    Raises:
        InputError: there is none, or several that the tensors do not tell apart.
    """
    alike, depth = entries_alike(checkpoint), decoder_depth(checkpoint.state)
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


def entries_alike(checkpoint: Checkpoint) -> list[ModelEntry]:
    """Return the lines of the zoo whose architecture a checkpoint has."""
    return [entry for entry in ZOO.values() if _fits(entry, checkpoint)]


def _fits(entry: ModelEntry, checkpoint: Checkpoint) -> bool:
    """Return whether a checkpoint is of a line's architecture, from its configuration or else its tensors."""
    family = FAMILIES[entry.family]
    if checkpoint.config is None:
        return family.fits(entry.config, checkpoint.state)
    wanted = {mark: getattr(entry.config, mark) for mark in family.marks}
    return checkpoint.family == entry.family and wanted.items() <= checkpoint.config.items()


def check_architecture(checkpoint: Checkpoint, entry: ModelEntry, where: str) -> None:
    """Refuse a checkpoint of another family or another architecture, naming both."""
    if checkpoint.family not in (None, entry.family):
        raise InputError(f"{where} is a {checkpoint.family} model, but {entry.name} ({entry.family}) was asked for")
    if checkpoint.config:
        unknown = sorted(checkpoint.config.keys() - {field.name for field in fields(FAMILIES[entry.family].config)})
        if unknown:
            raise InputError(f"{where} was written by a newer ovvis (setting {unknown[0]!r}); update ovvis")
    # An architecture that the zoo has not is a user's own network, which its file describes.
    names = [other.name for other in entries_alike(checkpoint)]
    if names and not _fits(entry, checkpoint):
        raise InputError(f"{where} is one of {names[0]}, but {entry.name} was asked for; ask for {names[0]}")
