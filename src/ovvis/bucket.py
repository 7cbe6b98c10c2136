"""Files that lie in a bucket, or wherever fsspec reaches: S3, Google's and Azure's storage, SSH, HDFS, memory."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from ovvis.errors import DISK_FULL, InputError, ResourceError
from ovvis.files.hidden import hidden_folder

SCHEMES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    **dict.fromkeys(("hdfs", "webhdfs"), "pyarrow"),
    "oss": "ossfs",
    "hf": "huggingface_hub",
    "webdav": "webdav4",
    "memory": "",
    "local": "",
}
"""What an address may begin with, and the library that fsspec wants for it."""

FETCHED = "ovvis-fetched"  # what temporary folders are called


def is_bucket(text: str) -> bool:
    """Return whether an address is reached by fsspec.

    >>> is_bucket("s3://films/dog.mp4"), is_bucket("https://a.org/dog.mp4"), is_bucket("dog.mp4")
    (True, False, False)
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9]*)://", text)
    return found is not None and found[1].lower() in SCHEMES


def below(address: str, name: str) -> str:
    """Return the address of what lies below another.

    >>> below("s3://films/", "dog/tracks.json")
    's3://films/dog/tracks.json'
    """
    return f"{address.rstrip('/')}/{name}"


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Turn what fsspec and its libraries raise into one line."""
    try:
        yield
    except ImportError as error:
        library = SCHEMES.get(address.partition("://")[0].lower(), "")
        raise ResourceError(f"{address} is reached by {library or 'a library'}: pip install {library}") from error
    except FileNotFoundError as error:
        raise InputError(f"{address} does not exist: check the name, and that you may list it") from error
    except OSError as error:
        if error.errno in DISK_FULL or isinstance(error, ResourceError):
            raise
        raise ResourceError(f"{address} cannot be reached ({_short(error)}); check the name and your rights") from error
    except Exception as error:  # each library has its own: no credentials, no network
        if isinstance(error, (InputError, ValueError, TypeError, KeyError, AttributeError)):
            raise
        raise ResourceError(f"{address} cannot be reached ({_short(error)}); check the name and your rights") from error


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _system(address: str) -> tuple[Any, str]:
    import fsspec

    system, path = fsspec.core.url_to_fs(address)
    system.invalidate_cache(path)  # of names: others write there, too
    return system, str(path)


def exists(address: str) -> bool:
    """Return whether a file is there.

    Raises:
        ResourceError: that cannot be found out.
    """
    with _told(address):
        system, path = _system(address)
        return bool(system.isfile(path))


def modified(address: str) -> float | None:
    """Return when a file was last written, in seconds since 1970; None if it is not there, or nobody knows."""
    with _told(address):
        system, path = _system(address)
        try:
            when = system.modified(path)
        except (FileNotFoundError, NotImplementedError):
            return None
        return when.timestamp() if isinstance(when, datetime) else None


def read(address: str) -> bytes | None:
    """Return a small file's content; None if it is not there."""
    with _told(address):
        system, path = _system(address)
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError:
            return None


def lines(address: str) -> IO[bytes]:
    """Open a file to read it piece by piece.

    Raises:
        InputError: it is not there.
    """
    with _told(address):
        system, path = _system(address)
        opened: IO[bytes] = system.open(path, "rb")
        return opened


def files(address: str) -> list[str]:
    """Return the addresses of the files in a folder, or that a pattern matches, in order; none if there are none."""
    scheme = address.partition("://")[0]
    with _told(address):
        system, path = _system(address)
        if re.search(r"[*?[]", path):
            found = system.glob(path, detail=True).values()
        else:
            try:
                found = system.ls(path, detail=True)
            except FileNotFoundError:
                return []
        names = [str(entry["name"]) for entry in found if entry["type"] == "file"]
    return sorted(f"{scheme}://{name.lstrip('/') if scheme != 'local' else name}" for name in names)


def folders(address: str) -> list[str]:
    """Return the names of the folders in one; none if it is not there. All of them are held in memory."""
    with _told(address):
        system, path = _system(address)
        try:
            found = system.ls(path, detail=True)
        except FileNotFoundError:
            return []
        return [str(entry["name"]).rstrip("/").rpartition("/")[2] for entry in found if entry["type"] == "directory"]


def remove(address: str) -> None:
    """Remove a file, if it is there."""
    with _told(address):
        system, path = _system(address)
        if system.exists(path):
            system.rm_file(path)


def put(path: Path, address: str) -> None:
    """Copy a file into a bucket, where it is whole when it has its name.

    Raises:
        ResourceError: it cannot be written there.
    """
    with _told(address):
        system, target = _system(address)
        if address.startswith("local://"):  # a disk, whose names come before their content
            hidden = f"{target}.partial"
            system.makedirs(target.rpartition("/")[0], exist_ok=True)
            system.put_file(str(path), hidden)
            system.mv(hidden, target)
            return
        system.put_file(str(path), target)


def fetched(address: str) -> tuple[Path, Callable[[], None]]:
    """Return a copy of a file on this machine, and what removes it; what killed programs left goes first.

    Raises:
        InputError: it is not there.
        ResourceError: it cannot be reached, or the temporary disk is full.
    """
    stack = ExitStack()
    try:
        folder = stack.enter_context(hidden_folder(Path(tempfile.gettempdir()), FETCHED))
        path = folder / (address.rstrip("/").rpartition("/")[2] or "file")
        with _told(address):
            system, source = _system(address)
            system.get_file(source, str(path))
    except OSError as error:
        stack.close()
        if error.errno in DISK_FULL and not isinstance(error, ResourceError):
            raise ResourceError(f"no space left in {tempfile.gettempdir()} for {address}: set TMPDIR") from error
        raise
    except BaseException:
        stack.close()
        raise
    return path, stack.close
