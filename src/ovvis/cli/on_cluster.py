"""Work that a verb hands out to a cluster: a bar for all of it, a line for what differs, a table of machines."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from rich.markup import escape

from ovvis.cli.console import count, listing, note, out, progress, warn
from ovvis.cli.ray_options import RayOptions
from ovvis.cluster.crew import Crew, Hand
from ovvis.cluster.facts import Agreement
from ovvis.cluster.work import Begun, Fare, MakeWorkman, Outcome
from ovvis.progress import Advance

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to its makers
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what dies is told here; else Ray prints it amid the command's own words
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker sees the GPUs that --device speaks of
}
"""Variables that Ray reads when it is imported; a person's own stay."""

TOLD = 30  # machines that the table shows


class OnCluster:
    """Hands tasks out and shows how far all of them are.

    Args:
        options: which cluster.
        device: that the workers' models compute on, as typed.
    """

    def __init__(self, options: RayOptions, device: str) -> None:
        self._options, self._gpus = options, 0.0 if device == "cpu" else options.ray_gpus
        self._crew: Crew | None = None
        self.model = ""  # that the workers loaded; empty if none did
        self.frames = 0
        self.seconds = 0.0

    def outcomes(
        self,
        make: MakeWorkman,
        tasks: Iterable[Any],
        what: str,
        total: int | None,
        frames_of: Callable[[Any], int],
        agree: Callable[[Begun], None] = lambda _: None,
        sees: Sequence[Path] = (),
    ) -> Generator[Outcome]:
        """Yield what came of each task, in the order in which they are done.

        Args:
            make: makes the workman in each worker.
            tasks: read as they are needed.
            what: is done, for the bar.
            total: how many tasks there are, if that is known.
            frames_of: returns how many frames an answer stands for.
            agree: called with what each worker says that makes its results; it raises where that cannot be.
            sees: files and folders that each worker must see under these paths.

        Raises:
            OvvisError: no cluster, no worker, or what ends all work.
        """
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from ovvis.cluster.ray_hands import RayHands  # imports Ray

        options, agreement = self._options, Agreement()
        assert options.ray is not None

        def check(begun: Begun, hand: Hand) -> None:
            if agreement.first:
                for line in begun.notes:
                    note(line)
            for line in agreement.check(begun, hand):
                warn(line)
            agree(begun)

        began = time.monotonic()
        with (
            RayHands(options.ray, make, options.ray_cpus, self._gpus, sees) as hands,
            progress(what, "videos", total) as bar,
        ):
            crew = self._crew = Crew(
                hands, check, note, options.ray_workers, tidy=make().tidy, spread=options.stretch > 0
            )
            room = hands.room() if options.ray_workers is None else options.ray_workers
            gpus = f", {hands.gpus:g} of the GPUs" if hands.gpus else ""
            note(
                f"{count(hands.nodes(), 'machine')}, room for {count(room, 'worker')} ({hands.cores:g} of the cores"
                f"{gpus} each): the first loads the model and embeds the words, the others follow"
            )
            done = 0
            crew.tick = lambda: self._tell(bar, done, total, what, hands.under_way(), began)
            try:
                with closing(crew.run(tasks)) as outcomes:
                    for outcome in outcomes:
                        done += 1
                        if outcome.answer is not None:
                            self.frames += frames_of(outcome.answer)
                        yield outcome
            finally:
                self.model, self.seconds = crew.model, time.monotonic() - began

    def _tell(self, bar: Advance, done: int, total: int | None, what: str, under_way: int, began: float) -> None:
        assert self._crew is not None
        frames, seconds = self.frames + self._crew.in_parts + under_way, time.monotonic() - began
        workers = len(self._crew.busy) + len(self._crew.idle)
        lost = f", {count(self._crew.lost, 'worker')} lost" if self._crew.lost else ""
        bar(
            done,
            total,
            f"{what} on {count(workers, 'worker')}{lost}: {count(frames, 'frame')}, {frames / seconds:.1f}/s",
        )

    def conclude(self) -> None:
        """Show how each machine fared."""
        crew = self._crew
        if crew is None or not crew.fares:
            return
        table = listing(count(len(crew.fares), "machine"))
        table.add_column("machine", overflow="fold")
        for name in ("videos", "seconds a video", "workers lost"):
            table.add_column(name, justify="right")
        fares = sorted(crew.fares.items(), key=lambda item: (-item[1].lost, -item[1].tasks))
        for node, fare in fares[:TOLD]:
            table.add_row(escape(node), str(fare.tasks), _each(fare), str(fare.lost or ""))
        out.print(table)
        if len(fares) > TOLD:
            out.print(f"... and {len(fares) - TOLD} more.")
        rate = f"{self.frames / self.seconds:.1f} frames/s" if self.frames else "no new frames"
        lost = f"; {count(crew.lost, 'worker')} died, whose videos were taken up again" if crew.lost else ""
        out.print(f"{rate} over the cluster{lost}.")


def _each(fare: Fare) -> str:
    return f"{fare.seconds / fare.tasks:.2f}" if fare.tasks else ""
