"""A file of weights into a repository of the Hugging Face Hub: the file and its card in one commit, or nothing.

What the repository holds is read first. The commit is made upon exactly that state, so that nothing which came in the
meantime is missed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ovvis.errors import InputError, ResourceError
from ovvis.models.card import CARD, apart, card_licence, licence_name, sections
from ovvis.models.sources import Hub, hub_address, offline
from ovvis.models.transfer import Progress, reason
from ovvis.models.zoo import ZOO, ModelEntry, find_model

_log = logging.getLogger(__name__)

WEIGHTS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".pkl", ".onnx", ".h5", ".msgpack", ".gguf")
_GNU = (("affero", "agpl-3.0"), ("lesser", "lgpl-3.0"), ("", "gpl-3.0"))


@dataclass(frozen=True)
class Repository:
    """What a repository holds."""

    name: str
    commit: str | None = None  # None: there is none of that name yet, or none that this token may see
    files: tuple[str, ...] = ()
    card: str | None = None
    licence_file: str | None = None  # the licence of its LICENSE or COPYING, where that is a GPL
    listed: dict[str, str] = field(default_factory=dict)  # the licence of each file that the card describes

    @property
    def page(self) -> str:
        """Its page in a browser."""
        return f"{hub_address()}/{self.name}"


def token() -> str:
    """Return the user's token, from where every program of the Hub's has it.

    Raises:
        InputError: there is none.
    """
    from huggingface_hub import get_token

    found = get_token()
    if not found:
        raise InputError(
            "no token of the Hugging Face Hub is here: `hf auth login`, or set HF_TOKEN to one that writes"
        )
    return found


def check_name(repository: str) -> None:
    """Refuse what is no repository's name.

    Raises:
        InputError: it is none.
    """
    if re.fullmatch(r"[A-Za-z0-9]([\w.-]*\w)?/[A-Za-z0-9]([\w.-]*\w)?", repository) and ".." not in repository:
        return
    raise InputError(f"--to {repository!r}: it must be OWNER/NAME, as the Hub calls a repository")


def look(repository: str) -> Repository:
    """Return what a repository holds.

    Raises:
        ResourceError: the Hub cannot be asked.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    if why := offline():
        raise ResourceError(f"{repository} cannot be looked at: {why}")
    api = HfApi(endpoint=hub_address())
    with _told(Repository(repository)):
        try:
            info = api.model_info(repository, timeout=10)
        except RepositoryNotFoundError:
            return Repository(repository)
        files = tuple(sorted(found.rfilename for found in info.siblings or ()))
        texts: dict[str, str] = {}
        licences = [file for file in files if Path(file).stem.upper() in ("LICENSE", "LICENCE", "COPYING")]
        with TemporaryDirectory() as scratch:
            for file in (*(file for file in files if file == CARD), *licences):
                path = api.hf_hub_download(repository, file, revision=info.sha, local_dir=scratch)
                texts[file] = Path(path).read_text(encoding="utf-8", errors="replace")
    card = texts.get(CARD)
    gnu = next((name for file in licences if (name := _gnu(texts[file]))), None)
    return Repository(repository, info.sha, files, card, gnu, sections(card or ""))


def weights_to_publish(
    name: str | None, weights: Path | None, scratch: Path, file: str, on_progress: Progress | None
) -> tuple[Path, ModelEntry]:
    """Return the file that goes, loaded strictly, with CLIP in it, and the line of the zoo that it is of.

    Args:
        name: the model; None finds out from the file.
        weights: a checkpoint; None takes the model's own, which are fetched if they are not here.
        scratch: a folder for what is converted.
        file: its name there.
        on_progress: called with bytes done and bytes in all while weights are fetched.

    Raises:
        InputError: the checkpoint is no such model's.
        ResourceError: weights cannot be fetched, or what is converted cannot be written.
    """
    from ovvis.models.own_weights import convert, fetch_weights
    from ovvis.models.packaged import packaged_model

    entry = find_model(name) if name else None
    if entry is not None and weights is None and not entry.packaged:
        return fetch_weights(entry, on_progress), entry
    source = packaged_model(entry) if entry is not None and weights is None else weights
    assert source is not None, "neither a model nor a file"
    return scratch / file, convert(source, scratch / file, name, tell=_log.warning, on_progress=on_progress)


def check_licences(there: Repository, file: str, licence: str) -> None:
    """Refuse to bring weights under a GPL and others into one repository.

    Raises:
        InputError: they would lie together, or nothing says under what licence those that are there lie.
    """
    rule = f"another repository is needed for {file} ({licence}): weights under a GPL never lie with others"
    for other in there.files:
        if other == file or not other.lower().endswith(WEIGHTS):
            continue
        known = there.listed.get(other) or _of_zoo(other) or there.licence_file
        known = known or (card_licence(there.card) if there.card else None)
        if known is None:
            raise InputError(
                f"{there.name} holds {other}, and nothing there says under what licence it lies: state it in its card, "
                "or choose another repository"
            )
        if apart(known, licence):
            raise InputError(f"{there.name} holds {other} ({known}); {rule}")
    stated = card_licence(there.card) if there.card and not set(there.listed) - {file} else None
    for known in (there.licence_file, None if file in there.listed else stated):
        if known and apart(known, licence):
            raise InputError(f"{there.name} is said to be under {known}; {rule}")


def _of_zoo(file: str) -> str | None:
    """Return the licence of a file that is called as one of the zoo's."""
    entry = ZOO.get(Path(file).stem)
    return licence_name(entry.weights_licence) if entry else None


def _gnu(text: str) -> str | None:
    start = text[:2000].lower()
    if "general public license" not in start:
        return None
    return next(name for mark, name in _GNU if mark in start)


def publish(there: Repository, file: str, weights: Path, sha256: str, card: str, *, private: bool = False) -> Hub:
    """Upload a file of weights with its card, in one commit upon what was looked at; return where it lies now.

    Args:
        there: what `look` gave.
        file: its name in the repository.
        weights: the file.
        sha256: its digest.
        card: the repository's card with the file in it.
        private: whether a repository that is made for it is to be seen by its owner alone.

    Raises:
        ResourceError: the Hub refuses, or cannot be reached; nothing is published then.
    """
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError

    api, known = HfApi(endpoint=hub_address(), token=token()), Hub(there.name, file)
    made = False
    operations = [CommitOperationAdd(file, weights), CommitOperationAdd(CARD, card.encode())]

    def after() -> str:
        state = "the repository was made and is empty" if made else "nothing was published"
        return f"; {state}, and the same command goes on"

    with _told(there, after):
        if there.commit is None:
            api.create_repo(there.name, private=private)
            made = True
        try:
            done = api.create_commit(
                there.name,
                operations,
                commit_message=f"{file}, sha256 {sha256[:12]}",
                parent_commit=there.commit,
            )
            commit = done.oid
        except HfHubHTTPError:
            raise
        except Exception:
            # Perhaps only the answer was lost: one commit is there as a whole, or not at all.
            came = _came(api, there, file, sha256)
            if came is None:
                raise
            commit = came
    return Hub(known.repository, file, commit, size=weights.stat().st_size, sha256=sha256)


def _came(api: Any, there: Repository, file: str, sha256: str) -> str | None:
    """Return the commit that holds a file with its card, where there is a new one."""
    with suppress(Exception):
        info = api.model_info(there.name, files_metadata=True, timeout=10)
        held = {found.rfilename: found.lfs.sha256 for found in info.siblings or () if found.lfs}
        if info.sha != there.commit and held.get(file) == sha256:
            return str(info.sha)
    return None


@contextmanager
def _told(there: Repository, after: Callable[[], str] = str) -> Iterator[None]:
    """Turn what the Hub refuses into the line that says why; `after` says what has become of the repository."""
    from huggingface_hub import errors

    name = there.name
    try:
        yield
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        said = {
            401: "the Hub does not know this token: `hf auth login` again, or mend HF_TOKEN",
            403: f"this token may not write to {name}: it is somebody else's, or the token only reads",
            404: f"the Hub has no {name}, or this token may not see it",
            409: f"the Hub is at work on {name}, or has it under another kind: look at {there.page}",
            412: f"{name} has changed in the meantime: give the command again, which looks at it anew",
        }.get(int(status or 0)) or f"the Hub answered {status or reason(error)}{_words(error)}"
        raise ResourceError(f"{said}{after()}") from error
    except Exception as error:  # its transport raises many kinds, of several libraries
        first = error
        while first.__cause__ is not None and not isinstance(first, errors.HfHubHTTPError):
            first = first.__cause__  # type: ignore[assignment]
        status = getattr(getattr(first, "response", None), "status_code", None)
        said = f"the Hub answered {status}" if status else reason(first)
        raise ResourceError(f"{name}: {said}{after()}") from error


def _words(error: Any) -> str:
    """Return what a server says of an error, where it says it in a line."""
    said = str(getattr(error, "server_message", "") or "").strip().splitlines()
    return f" ({said[0][:160]})" if said else ""
