"""Files on the Hugging Face Hub: which there are, what they must be, and under what address their bytes lie.

huggingface_hub knows the Hub; the bytes come as all others do (`transfer.py`), as it drops what a cut left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ovvis.models.sources import Hub, HubSearch, hub_address
from ovvis.models.transfer import CONNECT, Failed, Request, reason

SHOWN = 40  # files of a repository that an error names


def kept_by_hub(source: Hub) -> Path | None:
    """Return the file in the Hub's own cache on this machine, where another program has fetched it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source.repository, source.file, revision=source.revision)
    return Path(found) if isinstance(found, str) else None


def expand(source: HubSearch) -> list[Hub]:
    """Return the files that fit a search, the likeliest first.

    Raises:
        Failed: the repository cannot be listed, or none fits; the message says which files there are.
    """
    sizes = _files(source)
    named = [file for file in sizes if _fits(file, source)]
    fitting = [file for file in named if sizes[file] >= source.least]
    if not fitting:
        small = f" that has the {source.least / 1e6:,.0f} MB at least that it must" if named else ""
        raise Failed(f"no file there is called so{small}; {there(source, sizes)}")
    fitting.sort(key=lambda file: (any(word in file.lower() for word in source.last), file))
    return [Hub(source.repository, file, source.revision) for file in fitting]


def _fits(file: str, source: HubSearch) -> bool:
    folder, _, name = file.rpartition("/")
    return folder == source.folder and all(word in name.lower() for word in source.words)


def there(source: Hub | HubSearch, sizes: Mapping[str, int] | None = None) -> str:
    """Return which files a repository has, those of a search's folder first, as the end of a line."""
    try:
        sizes = _files(source) if sizes is None else sizes
    except Failed:
        return "its files could not be listed"
    files = list(sizes)
    if isinstance(source, HubSearch):
        files.sort(key=lambda file: file.rpartition("/")[0] != source.folder)
        files = [f"{file} ({sizes[file] / 1e6:,.0f} MB)" for file in files]
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return f"it has {', '.join(files[:SHOWN]) or 'no files'}{more}"


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


def _files(source: Hub | HubSearch) -> dict[str, int]:
    """Return the files of a repository in order of their names, with their sizes in bytes."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    with _told(source, listing=True):
        tree = HfApi(endpoint=hub_address()).list_repo_tree(source.repository, recursive=True, revision=source.revision)
        return dict(sorted((entry.path, entry.size) for entry in tree if isinstance(entry, RepoFile)))


@contextmanager
def _told(source: Hub | HubSearch, listing: bool = False) -> Iterator[None]:
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
        has = "" if listing else f"; {there(source)}"
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
