"""What `pip install ovvis` brings: for each library its size, what it brings alone, and what its import takes.

    python benchmarks/dependencies.py                # of the installed environment
    python benchmarks/dependencies.py --no-imports   # sizes alone: a second

Sizes are of the files that pip recorded, without compiled bytecode. "Alone" is what would not be there without the
library: itself and those of its own dependencies that nothing else of the list needs. An import is measured in seconds
of processor time, in a process of its own, three times, the least counts; PyTorch is in that of whatever needs it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
TRIES = 3


def project() -> dict[str, list[Requirement]]:
    """Return what the project asks for, by extra; "" is what everybody gets."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {"": stated["dependencies"], **stated["optional-dependencies"]}
    return {extra: [Requirement(line) for line in lines] for extra, lines in asked.items() if extra != "dev"}


def closure(roots: Iterable[Requirement]) -> set[str]:
    """Return the names of installed distributions that requirements bring, themselves included."""
    found: set[str] = set()
    left = [(canonicalize_name(one.name), frozenset(one.extras)) for one in roots]
    seen = set()
    while left:
        name, extras = left.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        found.add(name)
        for one in map(Requirement, lines):
            if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                left.append((canonicalize_name(one.name), frozenset(one.extras)))
    return found


def size(name: str) -> int:
    """Return the bytes of a distribution's files."""
    files = metadata.files(name) or []
    paths = [Path(str(file.locate())) for file in files if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


def import_seconds(name: str) -> float | None:
    """Return the processor time in seconds of a distribution's import in a new process, without the interpreter's."""
    from ovvis.doctor.requirements import Need

    module = Need(name, "", "").module
    program = f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
    seconds = []
    for _ in range(TRIES):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return None
        seconds.append(float(done.stdout.split()[-1]))
        time.sleep(0.1)
    return min(seconds)


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-imports", action="store_true", help="sizes alone")
    arguments = parser.parse_args()
    asked = project()
    sizes: dict[str, int] = {}
    rows = []
    for extra, wanted in asked.items():
        base = [] if not extra else asked[""]
        for one in wanted:
            name = canonicalize_name(one.name)
            brought = closure([one])
            if name not in brought:
                rows.append((f"{name} ({extra})" if extra else name, None, None, None))
                continue
            others = [other for other in (*base, *wanted) if other is not one]
            alone = brought - closure(others)
            sizes |= {name: size(name) for name in brought if name not in sizes}
            seconds = None if arguments.no_imports else import_seconds(name)
            title = f"{name} ({extra})" if extra else name
            rows.append((title, sizes[name], (sum(sizes[one] for one in alone), len(alone)), seconds))
    every = closure(asked[""])
    nvidia = {name for name in every if re.match(r"nvidia-|cuda-|triton", name)}
    sizes |= {name: size(name) for name in every if name not in sizes}
    print("| library | MB | brought by it alone | import, s |\n| --- | ---: | ---: | ---: |")
    for title, own, alone, seconds in sorted(rows, key=lambda row: -(row[2] or (0, 0))[0]):
        if own is None:
            print(f"| {title} | not installed | | |")
        else:
            took = "" if seconds is None else f"{seconds:.2f}"
            print(f"| {title} | {own / 1e6:.1f} | {alone[0] / 1e6:,.0f} MB, {alone[1]} | {took} |")
    total = sum(sizes[name] for name in every)
    cuda = sum(sizes[name] for name in nvidia)
    print(f"\nIn all {total / 1e6:,.0f} MB in {len(every)} distributions, {cuda / 1e6:,.0f} MB of it for CUDA")


if __name__ == "__main__":
    main()
