"""What lies under a file's name in place of what was meant: told by its first bytes."""

from __future__ import annotations

HEAD = 1024  # bytes that tell

_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--")
_UNPACK = "unpack it first"
_MAGIC: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "packed by gzip", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"BZh", "packed by bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "packed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed by zstd", _UNPACK),
    (b"%PDF", "a PDF", "give the file itself"),
    (b"\x89PNG\r\n", "a PNG image", "give the file itself"),
    (b"\xff\xd8\xff", "a JPEG image", "give the file itself"),
    (b"\x89HDF\r\n", "an HDF5 file", "give the file itself"),
    (b"SQLite format 3\x00", "an SQLite database", "give the file itself"),
    (b"\xd0\xcf\x11\xe0", "an Office document", "save it as plain text"),
    (b"{\\rtf", "an RTF document", "save it as plain text"),
    (b"<?xml", "an XML file", "give the file itself"),
)


def foreign(head: bytes) -> tuple[str, str] | None:
    r"""Return what a file is and what to do, where its first bytes say that it is none of ours; else None.

    A zip is not told: PyTorch's own files are such.

    Args:
        head: its first `HEAD` bytes, or all.

    >>> foreign(b"version https://git-lfs.github.com/spec/v1\noid sha256:0")[0]
    'a Git LFS pointer and not the file itself'
    """
    if not head:
        return "empty", "fetch or write it again"
    if head.startswith(_LFS):
        return "a Git LFS pointer and not the file itself", "run `git lfs pull` in its repository, or fetch the file"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith(_HTML) or (start.startswith(b"<?xml") and b"<html" in start):
        if b"drive" in start and (b"quota" in start or b"virus" in start or b"google" in start):
            return (
                "Google Drive's page in place of the file",
                "fetch it with a browser, or later when its quota is free",
            )
        return "a web page (HTML) in place of the file", "open its address in a browser and fetch the file itself"
    return next(((what, remedy) for magic, what, remedy in _MAGIC if head.startswith(magic)), None)
