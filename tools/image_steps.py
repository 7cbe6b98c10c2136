"""Perform the steps of the Dockerfile in folders, where no Docker runs: with chroot, as root, on Linux.

    debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates trixie /tmp/base
    python tools/image_steps.py /tmp/base /tmp/image --build-arg TORCH=https://pypi.org/simple

The base stands for the image that the Dockerfile names: the same Debian, and the same Python by another way. Each RUN
runs in its stage's folder with nothing of this machine but its processor and network; COPY, ENV, ARG, USER and WORKDIR
mean what they mean to Docker. Then the image, as its own user, examines itself (`doctor --test`), runs the demo, and
starts its default command, which its health check must find well. Nothing of the Dockerfile is left out in silence: a
step that is not known here is an error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOLD = ("LABEL", "VOLUME", "EXPOSE")  # of the image, nothing to perform
PATIENCE = 120  # seconds for the page to be well


def steps(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions with what follows each, continued lines as one."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    whole = re.sub(r"\\\n\s*", "", kept)
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in whole.splitlines() if line.strip()]


@dataclass
class Stage:
    """A stage of the build as it stands: its folder, and what holds for its next step."""

    folder: Path
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"})
    arguments: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    place: str = "/"
    said: dict[str, str] = field(default_factory=dict)  # ENTRYPOINT, CMD, HEALTHCHECK

    def at(self, path: str) -> Path:
        """Return where a path of the image lies on this machine."""
        return self.folder / os.path.normpath(os.path.join(self.place, path)).lstrip("/")  # noqa: PTH118

    def _home(self) -> str:
        lines = (self.folder / "etc/passwd").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[5] for line in lines if line.split(":")[2] == self.user.partition(":")[0])

    def command(self, words: list[str], extra: dict[str, str]) -> list[str]:
        """Return what runs words inside, with the image's variables alone and a /proc of its own."""
        variables = {"HOME": self._home()} | self.variables | self.arguments | extra
        alone = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        inside = ["chroot", f"--userspec={self.user}", str(self.folder), *alone, "sh", "-c"]
        there = f"cd {shlex.quote(self.place)} && exec {shlex.join(words)}"
        return [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            f"--mount-proc={self.folder}/proc",
            *inside,
            there,
        ]


def build(base: Path, work: Path, given: dict[str, str], extra: dict[str, str]) -> Stage:
    """Perform every step and return the last stage.

    Args:
        base: a Debian with Python, in place of what FROM names.
        work: a folder for the stages; it must not exist.
        given: build arguments.
        extra: variables for RUN alone, such as a certificate's place.
    """
    work.mkdir(parents=True)
    done: dict[str, Stage] = {}
    stage = Stage(work)
    for what, rest in steps((ROOT / "Dockerfile").read_text(encoding="utf-8")):
        print(f"--- {what} {rest}", flush=True)
        if what == "FROM":
            name = rest.partition(" AS ")[2] or "image"
            stage = done[name] = Stage(work / name)
            subprocess.run(["cp", "-a", str(base), str(stage.folder)], check=True)
            for file in ("/etc/resolv.conf", "/etc/hosts"):
                shutil.copy(file, stage.folder / file.lstrip("/"))
            (stage.folder / "dev/shm").chmod(0o1777)  # Docker mounts one; processes' locks lie there
            python = stage.folder / "usr/local/bin/python"
            if not python.exists():
                python.symlink_to("/usr/bin/python3")
        elif what == "ARG":
            name, _, default = rest.partition("=")
            stage.arguments[name] = given.get(name, default)
        elif what == "ENV":
            stage.variables |= dict(pair.split("=", 1) for pair in shlex.split(_filled(rest, stage)))
        elif what == "RUN":
            subprocess.run(stage.command(["sh", "-c", rest], extra), check=True)
        elif what == "COPY":
            _copy(stage, rest, done)
        elif what == "USER":
            stage.user = rest
        elif what == "WORKDIR":
            stage.place = rest
            stage.at(rest).mkdir(parents=True, exist_ok=True)
        elif what in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
            stage.said[what] = rest
        elif what not in TOLD:
            raise SystemExit(f"{what}: a step that this program does not know")
    return replace(stage, arguments={})


def _filled(text: str, stage: Stage) -> str:
    """Return a text with the variables that it names."""
    return re.sub(r"\$(\w+)", lambda match: (stage.variables | stage.arguments)[match[1]], text)


def _copy(stage: Stage, rest: str, done: dict[str, Stage]) -> None:
    """Copy from the repository, or from another stage: a folder's content, or files."""
    words = shlex.split(rest)
    source = ROOT
    if words[0].startswith("--from="):
        source = done[words.pop(0).partition("=")[2]].folder
    *names, target = words
    place = stage.at(target)
    for name in names:
        one = source / name.lstrip("/")
        to = place / one.name if target.endswith("/") and one.is_file() else place
        to.parent.mkdir(parents=True, exist_ok=True)
        if source != ROOT:  # on the same disk, and nobody writes there any more
            subprocess.run(["cp", "-al", str(one), str(to)], check=True)
        elif one.is_dir():
            shutil.copytree(one, to, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
        else:
            shutil.copy(one, to)


def use(image: Stage) -> None:
    """Run the image as a person would: two verbs, then its default command until the health check finds it well."""
    entry, default = (json.loads(image.said[what]) for what in ("ENTRYPOINT", "CMD"))
    for words in (["doctor", "--test"], ["demo"]):
        print(f"--- docker run ovvis {shlex.join(words)}", flush=True)
        subprocess.run(image.command([*entry, *words], {}), check=True)
    print(f"--- docker run ovvis ({shlex.join(default)})", flush=True)
    check = image.command(json.loads(image.said["HEALTHCHECK"].partition("CMD ")[2]), {})
    start = time.monotonic()
    page = subprocess.Popen(image.command([*entry, *default], {}))
    try:
        while subprocess.run(check, stderr=subprocess.DEVNULL, check=False).returncode:
            if page.poll() is not None or time.monotonic() - start > PATIENCE:
                raise SystemExit("the page is not well")
            time.sleep(2)
        print(f"The page is well after {time.monotonic() - start:.0f} s.")
    finally:
        page.kill()  # unshare takes the page with it
        page.wait(timeout=30)


def main() -> None:
    """Build and use the image."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="a folder made by debootstrap")
    parser.add_argument("work", type=Path, help="where the stages are put; it must not exist")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for RUN alone")
    given = parser.parse_args()
    if sys.platform != "linux" or os.geteuid() != 0:
        raise SystemExit("chroot needs root, on Linux")
    arguments, extra = (dict(pair.split("=", 1) for pair in pairs) for pairs in (given.build_arg, given.env))
    use(build(given.base.resolve(), given.work.resolve(), arguments, extra))


if __name__ == "__main__":
    main()
