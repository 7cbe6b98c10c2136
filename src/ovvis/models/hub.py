"""Files on the Hugging Face Hub: which there are, what they must be, and under what address their bytes lie.

huggingface_hub knows the Hub; the bytes come as all others do (`transfer.py`), as it drops what a cut left.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ovvis.models.sources import Hub, hub_address
from ovvis.models.transfer import CONNECT, Failed, Request, reason

SHOWN = 12  # files of a repository that an error names


def kept_by_hub(source: Hub) -> Path | None:
    """Return the file in the Hub's own cache on this machine, where another program has fetched it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repository, source.file, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def expand(source: Hub) -> list[Hub]:
    """Return the files that a name stands for: itself, or all that fit a pattern.

    Raises:
        Failed: the repository cannot be listed, or none fits; the message says which files there are.
    """
    if not any(mark in source.file for mark in "*?"):
        return [source]
    files = _files(source)
    fitting = [file for file in files if fnmatch(file.lower(), source.file.lower())]
    if not fitting:
        raise Failed(f"no file there is called so; it has {_some(files)}")
    return [replace(source, file=file) for file in fitting]


def resolve(source: Hub) -> tuple[Request, Hub]:
    """Return what to ask for, and the source with what the Hub says of the file: its commit, size and SHA-256.

    Raises:
        Failed: there is no such file, or it cannot be had; the message says what to do.
    """
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    endpoint = hub_address()
    url = hf_hub_url(source.repository, source.file, revision=source.revision, endpoint=endpoint)
    with _told(source):
        found = get_hf_file_metadata(url, timeout=CONNECT, endpoint=endpoint)
    digest = found.etag if found.etag and len(found.etag) == 64 else None  # of a large file; a small one's is Git's
    known = replace(
        source,
        revision=found.commit_hash or source.revision,
        size=source.size or found.size,
        sha256=source.sha256 or digest,
    )
    own = urlsplit(found.location).netloc == urlsplit(url).netloc
    token = get_token() if own else None  # which is nobody else's to see
    return Request(found.location, {"Authorization": f"Bearer {token}"} if token else {}, size=known.size), known


def _files(source: Hub) -> list[str]:
    from huggingface_hub import HfApi

    with _told(source, listing=True):
        return sorted(HfApi(endpoint=hub_address()).list_repo_files(source.repository, revision=source.revision))


def _some(files: list[str]) -> str:
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"{', '.join(files[:SHOWN]) or 'none'}{more}"


@contextmanager
def _told(source: Hub, listing: bool = False) -> Iterator[None]:
    """Turn what goes wrong with the Hub into the line that says why."""
    from huggingface_hub import errors

    page = f"{hub_address()}/{source.repository}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise Failed(
            f"its owners ask to accept their terms first: sign in at {page}, accept them, then `hf auth login` here"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise Failed(f"the repository has no revision {source.revision!r}") from error
    except errors.EntryNotFoundError as error:
        has = "" if listing else f"; it has {_listed(source)}"
        raise Failed(f"the repository has no such file{has}") from error
    except errors.RepositoryNotFoundError as error:
        raise Failed(
            "there is no such repository, or it is private: if it is, `hf auth login` with an account that may read it"
        ) from error
    except errors.HfHubHTTPError as error:
        status: Any = getattr(error.response, "status_code", "")
        raise Failed(f"the server answered {status or reason(error)}") from error
    except Failed:
        raise
    except Exception as error:  # its transport raises many kinds
        name = type(error).__name__
        said = "no answer within 10 s" if "Timeout" in name else reason(error)
        raise Failed("it sends from address to address in a circle" if "Redirect" in name else said) from error


def _listed(source: Hub) -> str:
    try:
        return _some(_files(source))
    except Failed:
        return "files that could not be listed"
