"""Weights from where their authors put them, or from the user's own mirror: fetched once, verified, recorded."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from http.cookiejar import MozillaCookieJar
from os import environ
from pathlib import Path
from typing import Any

from ovvis.errors import DISK_FULL, InputError, OvvisError, ResourceError
from ovvis.files.hidden import hidden_folder
from ovvis.files.lock import hold
from ovvis.files.output import disk_full, whole_file
from ovvis.models.hub import expand, kept_by_hub, resolve, there
from ovvis.models.sources import COOKIES, Drive, Hub, HubSearch, Local, Source, Url, in_words, mirrored, offline
from ovvis.models.transfer import Failed, Part, Request, read_cookies, receive
from ovvis.models.transfer import Progress as Progress  # what every caller of `fetch` hands on
from ovvis.paths import cache_folder

RECORD = "sha256.json"

_log = logging.getLogger(__name__)

Finish = Callable[[Path, Path], object]  # verifies a file, and writes what is kept of it


class NotHad(ResourceError):  # noqa: N818  what befell, as the error's other names
    """No source gave a file; a line for each has been logged."""


def weights_folder() -> Path:
    """Return the folder of downloaded weights."""
    return cache_folder() / "weights"


def fetch(
    sources: Sequence[Source],
    target: Path,
    finish: Finish,
    on_progress: Progress | None = None,
    remedy: str | None = None,
) -> None:
    """Fetch a file from the first source that gives one which `finish` takes, and put the outcome at `target`.

    The user's own mirror comes before all. What a cut connection left stays, and the next try goes on behind it.

    Args:
        sources: where it may lie, in order.
        target: the final file.
        finish: called with the file as it came and a temporary name to write to; raises if the file is bad.
        on_progress: called with bytes done and bytes in all.
        remedy: what to do where it cannot be fetched; None says it for a model's weights.

    Raises:
        InputError: the cookies that were given cannot be read.
        ResourceError: no source gives it; the message has each one's reason, and says what to fetch and where to put
            it. Or the disk is full.
    """
    try:
        _fetch(sources, target, finish, on_progress, remedy)
    except OvvisError:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise disk_full(error, target) from error
        raise ResourceError(
            f"weights of {target.stem!r} cannot be kept in {target.parent} ({error.strerror or error}); choose another "
            "folder with OVVIS_CACHE"
        ) from error


def _fetch(
    sources: Sequence[Source], target: Path, finish: Finish, on_progress: Progress | None, remedy: str | None
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        waited = stack.enter_context(hold(target.parent, f"-{target.name}"))
        if waited and target.is_file():
            return  # another process has fetched it
        work = _Work(target, finish, on_progress, read_cookies(environ.get(COOKIES, "")))
        made = stack.enter_context(hidden_folder(target.parent, target.name)) / target.name
        failures: list[str] = []
        report = None
        for source in _candidates(sources, target.name, failures):
            try:
                came = work.bring(source, made)
                break
            except Failed as failed:
                failures.append(f"{source.title}: {failed}")
                report = getattr(failed, "report", report)
                _log.warning("%s was not had from %s", target.stem, failures[-1])
        else:
            remedy = remedy or (
                f"download {in_words([source for source in sources if not isinstance(source, Local)])} with a browser "
                f"and give the file with --weights, or convert it with `ovvis convert FILE {target}`"
            )
            error = NotHad(f"weights of {target.stem!r} could not be fetched ({'; '.join(failures)}): {remedy}")
            error.report = report
            raise error
        made.replace(target)
    record_checksum(target, came)


def _candidates(sources: Sequence[Source], file: str, failures: list[str]) -> Iterator[Hub | Drive | Url | Local]:
    """Yield the sources in order, the mirror's first, a search's file by file."""
    for source in (*_noted(mirrored(file)), *sources):
        if not isinstance(source, HubSearch):
            yield source
            continue
        try:
            if why := offline():
                raise Failed(f"not asked: {why}")
            found = expand(source)
            yield from found
            said = f"none of the {len(found)} that fit by name is this model; {there(source)}"  # else none comes here
        except Failed as failed:
            said = str(failed)
        failures.append(f"{source.title}: {said}")
        _log.warning("%s was not had from %s", Path(file).stem, failures[-1])


def _noted(sources: Sequence[Source]) -> list[Source]:
    """Return the mirror's files with what its record says that they are."""
    out: list[Source] = []
    for source in sources:
        if isinstance(source, Local):
            known = _read_record(source.path.parent).get(source.path.name)
        else:
            known = (
                None if offline() else mirror_record(source.address.rpartition("/")[0]).get(Path(source.address).name)
            )
        pinned = known if isinstance(known, dict) else {}
        out.append(replace(source, size=pinned.get("size"), sha256=pinned.get("sha256")))
    return out


def mirror_record(address: str) -> dict[str, Any]:
    """Return the record of a mirror behind an address; what cannot be read counts as empty."""
    import requests

    with suppress(requests.RequestException, ValueError):
        answer = requests.get(f"{address}/{RECORD}", timeout=10)
        record = answer.json() if answer.ok else {}
        return record if isinstance(record, dict) else {}
    return {}


@dataclass(frozen=True)
class _Work:
    """One file that is wanted."""

    target: Path
    finish: Finish
    on_progress: Progress | None
    cookies: MozillaCookieJar | None

    def bring(self, source: Hub | Drive | Url | Local, made: Path) -> dict[str, Any]:
        """Write what `finish` makes of a source's file to `made`; return what is recorded of where it came from.

        Raises:
            Failed: the source gives no good file.
            ResourceError: the disk is full.
        """
        if isinstance(source, Local):
            if not source.path.is_file():
                raise Failed("no such file")
            return self._take(source, source, source.path, made)
        if isinstance(source, Hub) and (kept := kept_by_hub(source)):
            _log.info("%s: from the Hub's cache on this machine (%s)", self.target.stem, kept)
            with suppress(Failed):
                return self._take(source, source, kept, made)
        if why := offline():
            raise Failed(f"not asked: {why}")
        asked, known = _request(source)
        name = "file" + Path(source.file if isinstance(source, Hub) else asked.url.partition("?")[0]).suffix
        part = Part(self.target.parent, self.target.name, known.address, name)
        while True:
            resumed = part.size
            try:
                receive(asked, part, self.cookies, self._begin(source), self.on_progress)
                came = self._take(source, known, part.path, made)
            except OSError as error:
                if not part.size or (isinstance(error, _Wrong) and not error.report):
                    part.remove()
                if isinstance(error, _Wrong) and error.report:  # another version of ovvis, or an option, may take it
                    raise _Wrong(f"{error}; it stays here as {part.path}, until you delete it", error.report) from error
                if not (resumed and isinstance(error, _Wrong)):
                    raise
                # Of two visits' bytes; those of the first may be of another file, or damaged: once more from the start.
                _log.warning("%s: what was here of it does not go with the rest; from the beginning", self.target.stem)
            else:
                part.remove()
                return came

    def _begin(self, source: Source) -> Callable[[int | None, int], None]:
        def begin(total: int | None, here: int) -> None:
            size = "of unknown size" if total is None else f"{total / 1e6:,.0f} MB"
            rest = f", {here / 1e6:,.0f} MB of them here already" if here else ""
            _log.info("%s: fetching it from %s (%s%s)", self.target.stem, source.title, size, rest)

        return begin

    def _take(self, source: Source, known: Source, raw: Path, made: Path) -> dict[str, Any]:
        """Verify a file and make of it what is kept; `known` is the source with what its server says of the file."""
        size = raw.stat().st_size
        if known.size is not None and size != known.size:
            raise _Wrong(f"the file there has {size:,} bytes, and must have {known.size:,}")
        digest = sha256(raw)
        if known.sha256 is not None and digest != known.sha256:
            raise _Wrong(f"the file there has the SHA-256 {digest[:12]}..., and must have {known.sha256[:12]}...")
        earlier = origin(self.target)
        if source.sha256 is None and earlier and earlier["from"] == source.address and earlier["sha256"] != digest:
            raise _Wrong(
                f"the file there has changed since it was first fetched (SHA-256 {digest[:12]}..., then "
                f"{earlier['sha256'][:12]}...); if its authors say so, remove {self.target.name} from "
                f"{self.target.parent / RECORD}"
            )
        try:
            self.finish(raw, made)
        except OvvisError as error:
            if isinstance(error, ResourceError):
                raise
            said = str(error).replace(f"checkpoint {str(raw)!r}", "the file there").replace(str(raw), "the file there")
            raise _Wrong(said, error.report) from error
        kind = {name: value for name, value in asdict(known).items() if name not in ("size", "sha256", "path")}
        return {"from": source.address, "kind": type(source).__name__, **kind, "size": size, "sha256": digest}


class _Wrong(Failed):
    """A whole file that is not the one that was wanted."""

    def __init__(self, said: str, report: str | None = None) -> None:
        super().__init__(said)
        self.report = report


def _request(source: Hub | Drive | Url) -> tuple[Request, Hub | Drive | Url]:
    """Return what to ask for, and the source with all that is known of its file."""
    if isinstance(source, Hub):
        return resolve(source)
    return Request(source.address, confirm=isinstance(source, Drive), size=source.size), source


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_checksum(path: Path, came: dict[str, Any] | None = None) -> str:
    """Write the file's SHA-256 into the record beside it, where that can be written; return it.

    Args:
        path: the file.
        came: where it came from, and what it was there.
    """
    digest = sha256(path)
    with suppress(OSError), hold(path.parent, "-record"):
        entry: dict[str, Any] = {"sha256": digest, "size": path.stat().st_size}
        if came is not None:
            entry["origin"] = came
        record = _read_record(path.parent) | {path.name: entry}
        with whole_file(path.parent / RECORD) as partial:
            partial.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
    return digest


def origin(path: Path) -> dict[str, Any] | None:
    """Return where a file came from and what it was there, as recorded when it was fetched; None where it is not."""
    entry = _read_record(path.parent).get(path.name)
    came = entry.get("origin") if isinstance(entry, dict) else None
    return came if isinstance(came, dict) and {"from", "kind", "size", "sha256"} <= came.keys() else None


def pinned(path: Path) -> Source | None:
    """Return the source that a file came from, with its size and SHA-256; None where that is not recorded."""
    came = origin(path)
    kinds: dict[str, Any] = {kind.__name__: kind for kind in (Hub, Drive, Url)}
    if came is None or came["kind"] not in kinds:
        return None
    with suppress(TypeError):
        source: Source = kinds[came["kind"]](**{name: came[name] for name in came if name not in ("from", "kind")})
        return source
    return None


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


def _read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a folder; an unreadable one counts as empty."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
