"""Weights from where their authors put them: fetched once, verified, recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from ovvis.errors import InputError, OvvisError, ResourceError
from ovvis.io.hidden import hidden_folder
from ovvis.io.lock import hold
from ovvis.io.output import whole_file
from ovvis.paths import cache_folder

RECORD = "sha256.json"

Progress = Callable[[int, int | None], None]  # bytes done, bytes in all


def weights_folder() -> Path:
    """Return the folder of downloaded weights."""
    return cache_folder() / "weights"


def fetch(
    url: str,
    target: Path,
    finish: Callable[[Path, Path], None],
    on_progress: Progress | None = None,
    remedy: str | None = None,
) -> None:
    """Download a file, let `finish` verify and convert it, and put the outcome at `target` when it is whole.

    Args:
        url: a Google Drive or any other address.
        target: the final file.
        finish: called with the downloaded file and a temporary name to write to; raises if the download is bad.
        on_progress: called with bytes done and bytes in all.
        remedy: what to do where it cannot be fetched; None says it for a model's weights.

    Raises:
        ResourceError: the file cannot be fetched, or `finish` refuses it; the message says what to fetch and where
            to put it.
    """
    import gdown

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            waited = stack.enter_context(hold(target.parent, f"-{target.name}"))
            if waited and target.is_file():
                return  # another process has fetched it
            folder = stack.enter_context(hidden_folder(target.parent, target.name))
            raw, made = folder / "download", folder / target.name
            got = gdown.download(url, str(raw), quiet=True, use_cookies=False, progress=on_progress, timeout=60.0)
            if got is None:
                raise OSError("the server sent no file")
            finish(raw, made)
            made.replace(target)
    except Exception as error:  # gdown and its transport raise many kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        if isinstance(error, OvvisError):
            reason = "what the server sent is no checkpoint of this model"
        if remedy is None:
            remedy = (
                f"download {url} with a browser and give the file with --weights, or convert it with `ovvis convert "
                f"FILE {target}`"
            )
        raise ResourceError(f"weights of {target.stem!r} could not be fetched ({reason}): {remedy}") from error
    record_checksum(target)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_checksum(path: Path) -> str:
    """Write the file's SHA-256 into the record beside it, where that can be written; return it."""
    digest = sha256(path)
    with suppress(OSError), hold(path.parent, "-record"):
        record = _read_record(path.parent) | {path.name: {"sha256": digest, "size": path.stat().st_size}}
        with whole_file(path.parent / RECORD) as partial:
            partial.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    return digest


def check_checksum(path: Path) -> str:
    """Return the file's SHA-256 after comparing it with the recorded one; record it on first use.

    Raises:
        InputError: the file is not the one that was recorded.
    """
    entry = _read_record(path.parent).get(path.name)
    if not isinstance(entry, dict) or "sha256" not in entry:
        return record_checksum(path)
    digest = sha256(path)
    if digest != entry["sha256"]:
        raise InputError(
            f"weights {str(path)!r} have changed since they were fetched (SHA-256 {digest[:12]}..., recorded "
            f"{str(entry['sha256'])[:12]}...); delete the file to fetch it again"
        )
    return digest


def _read_record(folder: Path) -> dict[str, object]:
    """Return the record of a folder; an unreadable one counts as empty."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
