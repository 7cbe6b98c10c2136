"""CVAT's XML: what both of its forms share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape, quoteattr

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import parse

from ovvis.errors import InputError
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.read_back import MOST_FRAMES, REMEDY

COLOURS = ("#ff3b4e", "#2ec4ff", "#ffd92f", "#3ddc5b", "#b45bff", "#ff8c1a", "#00d9c0", "#ff5fc4")
_MOST = 2**31


@dataclass
class Xml:
    """Writes elements as they come."""

    file: TextIO
    depth: int = 0

    @contextmanager
    def element(self, tag: str, /, **fields: object) -> Iterator[None]:
        """Write an element around what is written in the block."""
        self.file.write(f"{'  ' * self.depth}<{tag}{_fields(fields)}>\n")
        self.depth += 1
        yield
        self.depth -= 1
        self.file.write(f"{'  ' * self.depth}</{tag}>\n")

    def text(self, tag: str, text: str, /, **fields: object) -> None:
        """Write an element of a text."""
        self.file.write(f"{'  ' * self.depth}<{tag}{_fields(fields)}>{escape(text)}</{tag}>\n")


def _fields(fields: dict[str, object]) -> str:
    return "".join(f" {name}={quoteattr(str(value))}" for name, value in fields.items())


@contextmanager
def writing(chosen: Chosen, path: Path, labels: list[str], mode: str) -> Iterator[Xml]:
    """Write a file's head, then what the block writes, then its end.

    Args:
        chosen: what it is of.
        path: the file.
        labels: those of the task.
        mode: "annotation" for images, "interpolation" for video.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n')
        xml = Xml(file)
        with xml.element("annotations"):
            xml.text("version", "1.1")
            with xml.element("meta"), xml.element("task"):
                xml.text("name", chosen.name)
                xml.text("size", str(len(chosen.result.frame_indices)))
                xml.text("mode", mode)
                with xml.element("labels"):
                    for label in labels:
                        with xml.element("label"):
                            xml.text("name", label)
                with xml.element("original_size"):
                    xml.text("width", str(chosen.result.width))
                    xml.text("height", str(chosen.result.height))
            yield xml


def parsed(path: Path) -> Element:
    """Return a file's root.

    Raises:
        InputError: it cannot be read, is no XML of CVAT, or holds what only attacks hold.
    """
    try:
        root: Element = parse(path).getroot()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise InputError(f"{path} must be CVAT's XML, and is not ({str(error)[:80]}): {REMEDY}") from error
    if root.tag != "annotations":
        raise InputError(f"{path} must be CVAT's XML with annotations, and begins with {root.tag[:40]!r}: {REMEDY}")
    return root


def number(path: Path, element: Element, name: str) -> int:
    """Return a field that is a whole number from 0.

    Raises:
        InputError: it is none.
    """
    text = element.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError(f"{path}: {name} of a {element.tag} must be a whole number, not {text[:40]!r}: {REMEDY}")
    return int(text)


def size_of(path: Path, element: Element) -> tuple[int, int]:
    """Return the height and width that an image states."""
    return number(path, element, "height"), number(path, element, "width")


def frame_count(path: Path, count: int) -> int:
    """Return how many frames there are, if there may be so many."""
    if count > MOST_FRAMES:
        raise InputError(f"{path}: {count:,} frames cannot be: {REMEDY}")
    return count
