"""What lies under a file's name in place of what was meant: told by its first bytes."""

from __future__ import annotations

HEAD = 1024  # bytes that tell

_LFS = b"version https://git-lfs.github.com/spec/"
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body", b"<!--")
_UNPACK = "unpack it first"
_COOKIES = "with that browser's cookies as a file in OVVIS_COOKIES, or fetch it there"
# What a page says that stands in for a file, in the order of asking.
_PAGES: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (b"quota exceeded", b"too many users have viewed", b"download quota"),
        "that says its quota is used up",
        f"wait a day, or make a copy of your own there in a browser and fetch that, or fetch it again {_COOKIES}",
    ),
    (
        (b"virus scan warning", b"scan this file for viruses", b"too large for google to scan"),
        "that warns of an unscanned file",
        "open its address in a browser and press its button to download anyway",
    ),
    (
        (b"before you continue", b"consent.google", b"cookie consent"),
        "that asks for consent",
        f"open its address in a browser, answer it and fetch it again {_COOKIES}",
    ),
    (
        (b"accounts.google.com", b"servicelogin", b"sign in", b"log in", b"request access", b"you need access"),
        "that asks to sign in",
        f"sign in with a browser and fetch it again {_COOKIES}",
    ),
)
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
        return page(start)
    return next(((what, remedy) for magic, what, remedy in _MAGIC if head.startswith(magic)), None)


def page(text: bytes) -> tuple[str, str]:
    """Return which web page stands in place of a file, and what to do.

    Args:
        text: of the page, as much as is there.

    >>> page(b"<html><title>Google Drive - Quota exceeded</title>")[0]
    "Google Drive's page in place of the file, one that says its quota is used up"
    """
    text = text.lower()
    drive = b"drive" in text and (b"google" in text or b"quota" in text or b"virus" in text)
    found = "Google Drive's page in place of the file" if drive else "a web page (HTML) in place of the file"
    for marks, says, remedy in _PAGES:
        if any(mark in text for mark in marks):
            return f"{found}, one {says}", remedy
    return found, "open its address in a browser and fetch the file itself"
