"""The card of a repository of weights: what a file is, whose it is, how it is used. Text in, text out.

A repository may hold several models. Each has a section of its own between two comments, so that a file that is
published again changes its own section and nothing else of a card that people have written in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, cast

from ovvis.models.families import FAMILIES
from ovvis.models.sources import HUB, hub_address
from ovvis.models.zoo import ModelEntry
from ovvis.plain import markdown_table

CARD = "README.md"
TAGS = ("open-vocabulary", "video-instance-segmentation")
SEVERAL = "other"  # the Hub's word where a card's models have not one licence

_BEGIN = re.compile(r"<!-- ovvis (?P<file>\S+) licence (?P<licence>\S+) -->")
_SECTION = "<!-- ovvis {file} licence {licence} -->\n{text}\n<!-- ovvis end {file} -->"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A file of weights, as its card describes it."""

    file: str  # its name in the repository
    size: int  # bytes
    sha256: str
    licence: str  # of the weights, by the Hub's short name
    entry: ModelEntry  # the zoo's line that it is of, or whose architecture it has
    own: bool  # whether it is a network of the publisher's, with nothing else of the zoo's line


def licence_name(text: str) -> str | None:
    """Return the Hub's short name of the licence that a line of the zoo begins with; None where it states none.

    A GPL counts wherever it stands.

    >>> licence_name("Apache-2.0 (authors' repository); CLIP: MIT")
    'apache-2.0'
    >>> licence_name("code: MIT; weights: GPL-3.0")
    'gpl-3.0'
    >>> licence_name("not stated; code MIT")
    """
    copyleft = re.search(r"\b[AL]?GPL(-[0-9.]+[0-9])?", text, re.IGNORECASE)
    first = copyleft or re.match(r"(Apache-2\.0|MIT|BSD-[23]-Clause|CC-BY(-[A-Z0-9.]+)*)\b", text, re.IGNORECASE)
    return first[0].lower() if first else None


def apart(one: str, other: str) -> bool:
    """Return whether weights of two licences may not lie in one repository: those under a GPL lie with their like."""
    return one != other and any("gpl" in name for name in (one, other))


def sections(card: str) -> dict[str, str]:
    """Return the files that a card describes in sections of ours, with their licences."""
    return {found["file"]: found["licence"] for found in _BEGIN.finditer(card)}


def card_licence(card: str) -> str | None:
    """Return the licence that a card states for its repository; None where it states none, or one for each file."""
    from huggingface_hub import ModelCard

    stated = cast(Any, ModelCard(card, ignore_metadata_errors=True).data).license
    names = [stated] if isinstance(stated, str) else stated or []
    return None if not names or names == [SEVERAL] else " ".join(map(str, names)).lower()


def write_card(old: str | None, one: Published, repository: str) -> str:
    """Return a repository's card with a file's section in it, new or in place of an older one.

    What else stands in the card stays. Its licence becomes "other" where its files have several.

    Args:
        old: the card that is there; None for none.
        one: the file.
        repository: its name.
    """
    from huggingface_hub import ModelCard, ModelCardData

    section = _SECTION.format(file=one.file, licence=one.licence, text=_section(one, repository))
    if old is None:
        made = ModelCardData(
            license=one.licence, library_name="ovvis", tags=list(TAGS), pipeline_tag="image-segmentation"
        )
        head = "Weights for `ovvis`: open-vocabulary video instance segmentation, a video and any words in; masks, "
        head += "identities, names and scores out."
        return f"---\n{made.to_yaml()}\n---\n\n# {repository.rpartition('/')[2]}\n\n{head}\n\n{section}\n"
    card = ModelCard(old, ignore_metadata_errors=True)
    data = cast(Any, card.data)  # fields that the library's class of all cards does not name
    there = {licence for file, licence in sections(old).items() if file != one.file}
    if there <= {one.licence} and data.license in (None, SEVERAL):
        data.license = one.licence
    elif there | {data.license} != {one.licence}:
        data.license, data.license_name = SEVERAL, "each-file-its-own"
    data.library_name = data.library_name or "ovvis"
    body = re.compile(
        rf"<!-- ovvis {re.escape(one.file)} licence .*?<!-- ovvis end {re.escape(one.file)} -->", re.DOTALL
    )
    text, replaced = body.subn(lambda _: section, card.text, count=1)
    text = text if replaced else f"{text.rstrip()}\n\n{section}\n"
    return f"---\n{data.to_yaml()}\n---\n{text}"


def _section(one: Published, repository: str) -> str:
    entry, family = one.entry, FAMILIES[one.entry.family]
    title = one.file.removesuffix(".safetensors")
    rows = [("method", f"{family.title}: {family.paper}" if family.paper else family.title)]
    if family.code and not one.own:
        rows.append(("authors' code", family.code))
    if one.own:
        config = entry.config
        rows += [
            ("architecture", f"that of {entry.name} (CLIP {config.clip}); the file's metadata holds its configuration"),
            ("licence", one.licence),
        ]
    else:
        rows += [
            ("trained on", entry.training_data),
            ("licences", f"weights: {entry.weights_licence}; code: {entry.code_licence}; data: {entry.data_licence}"),
        ]
        if one.licence != licence_name(entry.weights_licence):
            rows.append(("licence of the weights, as published here", one.licence))
    rows += [("file", f"`{one.file}`, {one.size:,} bytes"), ("SHA-256", f"`{one.sha256}`")]
    parts = [f"## {title}", markdown_table(("", ""), rows, words=2)]
    figures = {} if one.own else {**entry.published_ap, **{f"{k} (images)": v for k, v in entry.image_ap.items()}}
    if figures:
        table = markdown_table(("data set", "AP"), [(name, f"{ap:.1f}") for name, ap in figures.items()], words=2)
        parts.append(f"The paper's figures, in percent; they were not measured again with this file.\n\n{table}")
    model = "" if one.own else f" --model {entry.name}"
    # The labels are asked for in any case: only some models bring their own.
    parts.append(
        f"```sh\nhf download {repository} {one.file} --local-dir .\n"
        f'ovvis segment VIDEO --labels "dog, cat|kitten"{model} --weights {one.file}\n```'
    )
    if not one.own and one.file == entry.file and not entry.packaged:
        mirror = f"{hub_address() or HUB}/{repository}/resolve/main"
        parts.append(
            "Or with this repository in front of the model's own sources, fetched and verified once:\n\n"
            f'```sh\nOVVIS_MIRROR={mirror} ovvis segment VIDEO --labels "dog, cat|kitten" --model {entry.name}\n```'
        )
    return "\n\n".join(parts)
