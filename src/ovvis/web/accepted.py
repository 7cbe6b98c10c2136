"""Which uploads are opened at all: files that hold their pictures themselves.

To ffmpeg a text may be a video, too: a playlist, a concat script, a manifest. It would then open the files and
addresses that the text names, on this machine and in its network. So a file is opened only if its first bytes are those
of a container or an image, and nothing in its head is a manifest's.
"""

from __future__ import annotations

from pathlib import Path

from ovvis.errors import InputError
from ovvis.file_kind import foreign

_HEAD = 1 << 20  # bytes; ffmpeg looks at as many before it decides
_STARTS = (
    b"\x1aE\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b"\x00\x00\x01",  # MPEG, and bare H.264 and H.265
    b"\x00\x00\x00\x01",
    b"\x06\x0e\x2b\x34",  # MXF
    b"DKIF",  # IVF
    b"YUV4MPEG2 ",
    b"GIF8",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"II*\x00",
    b"MM\x00*",  # TIFF
)
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")  # MP4, MOV
_MANIFESTS = (b"#extm3u", b"ffconcat", b"<mpd", b"<smoothstreamingmedia", b"<assetmap", b"<compositionplaylist")
KINDS = "MP4, MOV, WebM, MKV, AVI, MPEG, FLV, WMV, OGG, MXF, GIF, or an image"


def check_upload(path: Path, name: str) -> None:
    """Refuse a file that is no video by itself.

    Args:
        path: the file.
        name: what to call it.

    Raises:
        InputError: says what it is, where that can be told, and what to give.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise InputError(f"{name} is empty: the upload must be a video; choose another file")
    low = head.partition(b"\0")[0].lower()  # ffmpeg looks for them as in a text, which ends at a zero
    if any(mark in low for mark in _MANIFESTS):
        raise InputError(f"{name} names other files to play: give the video itself")
    if _is_container(head):
        return
    known = foreign(head)
    said = f"is {known[0]}: {known[1]}, and" if known else "is no video or image of a known kind:"
    raise InputError(f"{name} {said} give {KINDS}")


def _is_container(head: bytes) -> bool:
    riff = head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WEBP")
    transport = any(
        len(head) > start and all(head[at : at + 1] in (b"G", b"") for at in range(start, start + 4 * step, step))
        for start, step in ((0, 188), (4, 192))
    )
    return head.startswith(_STARTS) or head[4:8] in _BOXES or riff or transport
