"""Where results lie: in a file, a zip, a folder, or files of a pattern. What systems lay beside them is passed over."""

from __future__ import annotations

import glob
import struct
import zipfile
import zlib
from pathlib import Path

from ovvis.errors import InputError
from ovvis.outputs.formats.tracks_json import TRACKS
from ovvis.paths import is_hidden, user_path

RESULTS = "results.json"  # in a submission's archive, and in a folder of results
PARTS = "results"  # the folder of one file for each video
MOST_UNPACKED = 2**30
"""Bytes of results that are read from a zip; what is larger must be unpacked by hand."""

_MOST_LISTED = 2**24  # bytes of a zip's list of contents
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END = b"PK\x05\x06"  # of the record at a zip's end, of 22 bytes and a comment
_LARGE_END = b"PK\x06\x06"
_COMMENT = 2**16


def find_results(path: str) -> list[Path]:
    """Return the files that a path stands for.

    Args:
        path: a JSON file, a zip that holds one, a folder with `results.json` or with a file for each video (in it, or
            below `results`), a folder of folders that `ovvis segment` wrote, or a glob.

    Raises:
        InputError: nothing is there.
    """
    given = user_path(path)
    if given.is_file():
        return [given]
    if given.is_dir():
        if (given / RESULTS).is_file():
            return [given / RESULTS]
        folder = given / PARTS if (given / PARTS).is_dir() else given
        files = sorted(file for file in folder.glob("*.json") if not is_hidden(file.name) and file.is_file())
        # Folders that `ovvis segment` wrote, side by side.
        files = files or sorted(file for file in given.glob(f"*/{TRACKS}") if not is_hidden(file.parent.name))
        if not files:
            raise InputError(f"{path}: the folder holds no results; give {RESULTS}, a zip of it, or a folder of files")
        return files
    found = sorted(Path(name) for name in glob.glob(str(given), recursive=True))  # noqa: PTH207
    found = [file for file in found if not is_hidden(file) and file.is_file()]
    if not found:
        raise InputError(f"{path}: no such file, folder or pattern of results; check the path")
    return found


def unpacked(path: Path) -> bytearray:
    """Return the results in a zip.

    Its own word for their size is looked at first, and held against what comes.

    Raises:
        InputError: it holds none or several, more than `MOST_UNPACKED`, or is damaged.
    """
    try:
        if _listed_bytes(path) > _MOST_LISTED:
            raise InputError(f"{path} holds too many files: pack {RESULTS} alone")
        with zipfile.ZipFile(path) as archive:
            return _read(archive, _results(archive, path), path)
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as a zip ({error}): pack it anew") from error
    except (zlib.error, struct.error) as error:
        raise InputError(f"{path} is damaged ({error}): pack it anew") from error


def _results(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """Return the one file of results in a zip."""
    entries = [(Path(info.filename.replace("\\", "/")), info) for info in archive.infolist()]
    files = [(name, info) for name, info in entries if name.suffix == ".json" and not is_hidden(name)]
    files = [(name, info) for name, info in files if name.name == RESULTS] or files
    if len(files) != 1:
        raise InputError(f"{path} must hold one {RESULTS}, not {len(files)} JSON files: pack it anew")
    return files[0][1]


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytearray:
    if info.compress_type not in _METHODS:
        raise InputError(f"{path}: {info.filename} is packed in an unusual way: pack it anew, as a plain zip")
    if info.file_size > MOST_UNPACKED:
        raise InputError(
            f"{path}: {info.filename} unpacks to {info.file_size / 2**20:,.0f} MiB, and from a zip at most "
            f"{MOST_UNPACKED / 2**20:,.0f} are read: unpack it and give the JSON"
        )
    data = bytearray()
    with archive.open(info) as file:
        begin = file.read(64)
        if not begin.removeprefix(b"\xef\xbb\xbf").strip().startswith(b"["):
            # Enough to say what it is; a bomb is not unpacked for that.
            return data + begin + file.read(2**20)
        data += begin
        while block := file.read(2**20):  # ends at the size that is stated; a wrong one fails the check of its sum
            data += block
    if len(data) != info.file_size:
        raise InputError(f"{path}: {info.filename} is cut off: pack it anew")
    return data


def _listed_bytes(path: Path) -> int:
    """Return how long a zip says its list of contents is."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - _COMMENT - 22, 0))
        end = file.read()
    place = end.rfind(_END)
    if place < 0 or len(end) - place < 22:
        return 0  # the library says what is wrong
    large = end.rfind(_LARGE_END, 0, place)
    sizes: list[int] = [struct.unpack_from("<L", end, place + 12)[0]]
    if large >= 0 and len(end) - large >= 56:  # one of more than 65,535 files, or of 4 GiB
        sizes.append(struct.unpack_from("<Q", end, large + 40)[0])
    return max(sizes)
