"""What a file is that cannot be opened as a video, and what to do about it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ovvis.sources.place import Place

_HEAD = 4096  # bytes that tell what a file is
_UNFINISHED = (".part", ".crdownload", ".download", ".partial", ".aria2", ".opdownload", ".filepart")
_ARCHIVES = {
    b"PK\x03\x04": "zip archive",
    b"PK\x05\x06": "zip archive",
    b"Rar!": "rar archive",
    b"7z\xbc\xaf\x27\x1c": "7z archive",
    b"\x1f\x8b": "gzip file",
    b"\xfd7zXZ\x00": "xz file",
    b"BZh": "bzip2 file",
    b"\x28\xb5\x2f\xfd": "zstd file",
}
_BOXES = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"sidx", b"styp", b"uuid", b"pnot"}


def what_it_is(place: Place, reason: str) -> str:
    """Return the message on a source that libav could not open.

    Args:
        place: what libav was given.
        reason: libav's own words.
    """
    path, found = place.path, None
    if path is not None:
        with suppress(OSError):
            found = _told(path)
    if found is not None:
        return f"{place.name} {found}"
    if place.kind == "device":
        return f"{place.name} could not be opened ({reason}): close what else uses it, and check its size and fps"
    if place.kind == "network":
        return f"{place.name} could not be opened ({reason}): check the address, the network and who may read it"
    if place.kind == "pipe":
        return (
            f"{place.name} gave no video that can be read as it comes ({reason}): send one that needs no way back, such"
            " as .ts, .mkv or an mp4 written with -movflags frag_keyframe, or give a file"
        )
    return f"{place.name} is no video that can be read ({reason}): give a video file, a folder of images or a pattern"


def _told(path: Path) -> str | None:
    """Return what a file is instead of a video, and the remedy."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    unfinished = path.suffix.lower() in _UNFINISHED
    if not size:
        return "is empty (0 bytes), no video: copy or download it again"
    if start.startswith(b"version https://git-lfs.github.com/"):
        return "is a Git LFS pointer, a note of where the video lies, no video: run git lfs pull where it came from"
    if start.startswith((b"<!doctype html", b"<html", b"<head")) or (start.startswith(b"<?xml") and b"<html" in start):
        return "is an HTML page, no video: the download saved the page around it; download the video file itself"
    for magic, kind in _ARCHIVES.items():
        if head.startswith(magic):
            return f"is a {kind}, no video: unpack it and give the video in it"
    if head[4:8] in _BOXES and (missing := _no_index(path, size)):
        return missing
    if unfinished:
        return f"is an unfinished download by its name ({path.suffix}): wait until it is done, or download it again"
    if not head.strip(b"\0"):
        return "begins with zeros alone, no video: a download that did not finish; download it again"
    return None


def _cut(how: str, size: int, least: int) -> str:
    return f"{how}, {size:,} bytes of {least:,} or more: an unfinished download or copy; download or copy it again"


def _no_index(path: Path, size: int) -> str | None:
    """Return what to say of an mp4 whose index (the box moov) is missing or cut off; None if it is there."""
    at, kinds = 0, set[bytes]()
    with path.open("rb") as file:
        while at + 8 <= size and len(kinds) < 1000:
            file.seek(at)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if kind == b"moov":
                return None if at + length <= size else _cut("ends within its index (moov)", size, at + length)
            kinds.add(kind)
            if length == 0:  # up to the end of the file
                break
            if length < 8:
                return None
            at += length
    if b"moof" in kinds:
        return (
            "is a piece of a stream without the piece that begins it (moov): give the playlist (.m3u8, .mpd), or put"
            " the first piece before it"
        )
    if at > size:
        return _cut("has no index (moov) and ends before its data do", size, at)
    return (
        "has no index (moov): the recording or download did not finish; download it again, or rebuild the recording"
        " with a tool such as untrunc"
    )
