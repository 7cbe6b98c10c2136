"""A fresh machine's first command with full-size weights: fetch, verify, convert, segment, in one line of input.

No published weights are needed: a server on this machine gives files in the authors' formats, filled as the parity
cases are. For each model, with an empty cache folder each time:

1. the first command, from the Hub or Google Drive (the server stands in for both);
2. the same without a network, from a mirror that `ovvis models fetch --to` made;
3. the process is killed in the middle of the fetch, and the same command given again: it must go on, not start anew.

    python benchmarks/first_command.py dog.mp4 --max-frames 12

The masks mean nothing; what is shown are the lines that a user sees, the exit codes, what was asked of the server, and
the seconds.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))


@dataclass(frozen=True)
class Case:
    """A model and how the user asks for it."""

    name: str
    parity: str  # the case whose names and shapes the authors' file has
    words: tuple[str, ...]  # of the command; none: it is the default
    path: str  # where the server has its bytes
    without: str = ""  # tensors of the case that this model has not


CASES = (
    Case("clip-vis-convnext-b", "clip_vis_convnext_b", (), "/uc", r"predictor\.transformer_\w+_layers\.[678]\."),
    Case(
        "ov-dvis-r50",
        "ov_dvis_r50_online",
        ("--model", "ov-dvis-r50"),
        "/bytes/zhangtao-whu/DVIS_Plus/DVIS++/ov_online_r50.pth",
    ),
)


def command(words: list[str], drive: str) -> list[str]:
    """Return the command `ovvis`, but for Google Drive's address."""
    program = (
        f"import sys; from ovvis.models import sources; sources.DRIVE = {drive!r}; "
        "sys.argv = ['ovvis', *sys.argv[1:]]; from ovvis.cli.main import run; run()"
    )
    return [sys.executable, "-c", program, *words]


class Machine:
    """A user's machine, fresh: an empty cache folder, a server that stands in for the world."""

    def __init__(self, server, video: Path, frames: int, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.segment = ["segment", str(video), "--labels", "dog, frisbee", "--max-frames", str(frames)]

    def fresh(self) -> None:
        """Empty the cache."""
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        self.server.asked.clear()

    def start(self, words: list[str], **environment: str) -> subprocess.Popen[str]:
        """Start the command."""
        print("\n$", *(f"{name}={value}" for name, value in environment.items()), "ovvis", *words, flush=True)
        own = {"HF_ENDPOINT": self.server.address, "OVVIS_CACHE": str(self.folder / "cache"), "COLUMNS": "100"}
        return subprocess.Popen(
            command(words, f"{self.server.address}/uc?id="),
            cwd=self.folder,
            env=os.environ | own | environment,
            text=True,
        )

    def call(self, words: list[str], **environment: str) -> int:
        """Run the command, say what came of it."""
        begun = time.monotonic()
        code = self.start(words, **environment).wait()
        print(f"  -> exit code {code} after {time.monotonic() - begun:.1f} s", flush=True)
        return code

    def killed(self, words: list[str], size: int) -> None:
        """Run the command and kill it when a third of the file has come."""
        process = self.start(words)
        while process.poll() is None:
            if self.came() > size // 3:
                process.send_signal(signal.SIGKILL)
            time.sleep(0.02)
        print(f"  -> killed with {self.came():,} of {size:,} bytes here", flush=True)

    def came(self) -> int:
        """Return the bytes of files that are not whole yet."""
        files = list((self.folder / "cache").glob("weights/.begun-*/file*"))
        return sum(file.stat().st_size for file in files if file.is_file())


def measure(case: Case, machine: Machine, content: bytes) -> bool:
    """Run the three ways for a model; return whether all went well."""
    words, server, mirror = [*machine.segment, *case.words], machine.server, machine.folder / f"mirror-{case.name}"
    print(f"\n== {case.name}: a file of {len(content) / 1e6:,.0f} MB in the authors' format ==", flush=True)
    machine.fresh()
    good = machine.call(words) == 0 and server.ranges(case.path) == [None]
    print(f"  asked of the server: {server.ranges(case.path)}")
    good &= machine.call(["models", "fetch", case.name, "--to", str(mirror)]) == 0
    machine.fresh()
    good &= machine.call([*words, "--mirror", str(mirror)], OVVIS_OFFLINE="1") == 0 and not server.asked
    machine.fresh()
    server.wrong[case.path] = "slow"
    machine.killed(words, len(content))
    server.wrong.clear()
    good &= machine.call(words) == 0
    asked = server.ranges(case.path)
    print(f"  asked of the server: {asked}")
    return good and asked[0] is None and bool(asked[-1])  # Google Drive is asked for a page first, which is not read on


def main() -> int:
    """Run all cases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--max-frames", type=int, default=12)
    parser.add_argument("--model", choices=[case.name for case in CASES], action="append")
    asked = parser.parse_args()
    from misbehaving import serving
    from parity_checks import read_case, write_authors_file

    with tempfile.TemporaryDirectory() as folder, serving() as server:
        machine = Machine(server, asked.video.absolute(), asked.max_frames, Path(folder))
        good = True
        for case in CASES:
            if asked.model and case.name not in asked.model:
                continue
            file = Path(folder) / "authors.pth"
            parity = read_case(case.parity)[0]
            deep = {name for name in parity["tensors"] if case.without and re.search(case.without, name)}
            parity["tensors"] = {name: shape for name, shape in parity["tensors"].items() if name not in deep}
            write_authors_file(parity, file)
            content = file.read_bytes()
            file.unlink()
            server.files.clear()
            if case.path.startswith("/bytes/"):
                closed = {"DVIS++/online_r50_ovis_372.pth": bytes(216_000_000), "README.md": b"#"}
                server.repositories["zhangtao-whu/DVIS_Plus"] = {case.path.split("DVIS_Plus/")[1]: content, **closed}
            else:
                server.files[case.path] = content
            good &= measure(case, machine, content)
    print("\nAll went well." if good else "\nSomething went wrong.")
    return not good


if __name__ == "__main__":
    sys.exit(main())
