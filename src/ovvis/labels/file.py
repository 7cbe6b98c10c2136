"""A file of labels: text in any coding that says itself, then lines, a table, YAML or JSON."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from ovvis.errors import InputError
from ovvis.file_kind import HEAD, foreign
from ovvis.labels.label import Label, quoted
from ovvis.labels.table import read_lines
from ovvis.labels.tree import read_tree

MOST_BYTES = {".json": 24 << 20, "": 4 << 20}  # by the ending; a dataset's JSON holds more than labels
ENDINGS = (".txt", ".json", ".yaml", ".yml", ".csv", ".tsv", ".names", ".labels", ".list", ".lst", ".jsonl", ".ndjson")
_OTHERS = (".md", ".xlsx", ".xls", ".ods", ".docx", ".pdf", ".xml", ".html", ".py", ".toml", ".ini", ".cfg", ".pbtxt")
_MEDIA = (
    ".mp4",
    ".mov",
    ".avi",
    ".mkv",
    ".webm",
    ".jpg",
    ".jpeg",
    ".png",
    ".pth",
    ".pt",
    ".safetensors",
    ".npy",
    ".zip",
)
_CODINGS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which begins alike
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_label_file(path: Path) -> list[Label]:
    """Return the labels of a file.

    Raises:
        InputError: it cannot be read, is no text, or holds no labels.
    """
    where = f"labels file {quoted(str(path))}"
    ending = path.suffix.lower()
    text = read_text(path, where, MOST_BYTES.get(ending, MOST_BYTES[""]))
    if ending in (".jsonl", ".ndjson"):
        text = f"[{','.join(line for line in text.splitlines() if line.strip())}]"
    if ending in (".json", ".jsonl", ".ndjson", ".yaml", ".yml"):
        return read_tree(text, where)
    return read_lines(text, where, ending in (".csv", ".tsv"))


def read_text(path: Path, where: str, most: int = MOST_BYTES[""]) -> str:
    """Return a text file's text, in UTF-8, or in UTF-16 or UTF-32 where its first bytes say so.

    Raises:
        InputError: it cannot be read, holds more than `most` bytes, or is no such text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{where} cannot be read ({reason}); check the path") from error
    if len(data) > most:
        raise InputError(f"{where} has more than the {most >> 20} MiB that are read; give the labels alone")
    found = foreign(data[:HEAD]) if data else None
    if found or data.startswith(b"PK\x03\x04"):
        what, remedy = found or ("a zip, or a spreadsheet", "unpack it, or save it as CSV")
        raise InputError(f"{where} is {what}: {remedy}")
    coding = next((coding for mark, coding in _CODINGS if data.startswith(mark)), "utf-8")
    if coding == "utf-8" and b"\0" in data:  # UTF-16 without its mark: every second byte of plain letters is zero
        even, odd = data[::2].count(0), data[1::2].count(0)
        if max(even, odd) > 0.35 * len(data):
            coding = "utf-16-le" if odd > even else "utf-16-be"
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 text; save it as such") from error
    if "\0" in text:
        raise InputError(f"{where} holds zero bytes and is not UTF-8 text; save it as such")
    return text


def looks_like_path(word: str) -> bool:
    """Return whether a word after `--labels` is a file's name and hardly a label.

    >>> [looks_like_path(word) for word in ("words.txt", "./words", "TV/monitor", "St. Bernard", "dog.mp4")]
    [True, True, False, False, True]
    """
    if re.match(r"(?:\.{0,2}|~\w*)[/\\]|[A-Za-z]:[/\\]|file:|https?:", word):
        return True
    return Path(word).suffix.lower() in (*ENDINGS, *_OTHERS, *_MEDIA) and bool(Path(word).stem)
