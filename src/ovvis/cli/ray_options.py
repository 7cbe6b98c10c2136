"""What verbs that hand their videos out ask for: on which cluster, and what a worker needs of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from ovvis.cli.extras import need
from ovvis.cli.options import grouped
from ovvis.cluster.spreading import SPREAD
from ovvis.errors import InputError

LOCAL = "local"
_ADDRESS = re.compile(r"auto|local|[\w.-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}|ray://\S+")

_option = grouped("Many machines")


@dataclass(frozen=True, kw_only=True)
class RayOptions:
    """The options of a verb that can hand its videos out; `sharing(RayOptions)` gives them to a verb."""

    ray: Annotated[
        str | None,
        _option(
            help="Hand the videos out to workers of a Ray cluster: 'auto' for the one that this machine is part of, "
            "HOST:PORT for another; without a word one is started here. Needs the extra 'ray'.",
            metavar="[ADDRESS]",
        ),
    ] = None
    ray_workers: Annotated[int | None, _option(min=1, help="Most workers at once; as many as fit if not given.")] = None
    ray_cpus: Annotated[float | None, _option(min=0.1, help="Cores of a worker; 2 if not given.")] = None
    ray_gpus: Annotated[
        float | None,
        _option(
            min=0,
            max=64,
            help="GPUs of a worker, also a part of one (0.5); 1 if the cluster has any, 0 with --device cpu.",
        ),
    ] = None
    spread: Annotated[
        int | None,
        _option(
            min=0,
            help="Most frames of a stretch: a longer video is looked at in stretches by several workers, where some "
            f"would stand idle, and followed by one; {SPREAD} if not given, 0 never.",
            metavar="FRAMES",
        ),
    ] = None

    @property
    def stretch(self) -> int:
        """Most frames of a stretch; 0 if no video is cut up."""
        return SPREAD if self.spread is None else self.spread

    def check(self, verb: str) -> bool:
        """Refuse what cannot be; return whether a cluster is asked for.

        Raises:
            InputError: an address that is none, or options of a cluster without one.
            ResourceError: Ray is not installed.
        """
        if self.ray is None:
            for name in ("ray_workers", "ray_cpus", "ray_gpus", "spread"):
                if getattr(self, name) is not None:
                    option = name.replace("_", "-")
                    raise InputError(f"--{option} is for workers of a cluster: give --ray too, or leave it out")
            return False
        if not _ADDRESS.fullmatch(self.ray):
            raise InputError(
                f"--ray {self.ray}: it takes auto, HOST:PORT or nothing; if that is a video, put --ray behind all "
                "videos or write --ray=local"
            )
        need(f"{verb} --ray", "ray", ["ray"])
        return True


def with_words(arguments: list[str]) -> list[str]:
    """Return a verb's arguments with the word that a lone --ray stands for.

    >>> with_words(["a.mp4", "--ray", "--labels", "dog"])
    ['a.mp4', '--ray=local', '--labels', 'dog']
    >>> with_words(["a.mp4", "--ray", "auto"])
    ['a.mp4', '--ray', 'auto']
    """
    ends = arguments.index("--") if "--" in arguments else len(arguments)
    return [
        f"--ray={LOCAL}"
        if word == "--ray" and at < ends and (at + 1 == len(arguments) or arguments[at + 1].startswith("-"))
        else word
        for at, word in enumerate(arguments)
    ]
