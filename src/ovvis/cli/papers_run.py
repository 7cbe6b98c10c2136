"""The work behind the papers' tables: a model over a dataset, its figures kept, its archives for a server."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ovvis.cli import segmenter as shared
from ovvis.cli.console import count, progress, warn
from ovvis.cli.kept import kept
from ovvis.cli.predict import settings_of
from ovvis.datasets.words import dataset_vocabulary
from ovvis.errors import OvvisError
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.measured import Measured, keep_measured
from ovvis.models.settings import UNTRAINED
from ovvis.predictions.folder import Shard
from ovvis.predictions.run_settings import dataset_settings
from ovvis.reproduction.kept_figures import Kept
from ovvis.reproduction.needs import Need
from ovvis.reproduction.papers import published_tables
from ovvis.reproduction.plan import COSTS
from ovvis.version import __version__
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.reproduction.measure import Measurement
    from ovvis.reproduction.rows import Way

PARTS, ARCHIVES = "parts", "archives"


@dataclass
class Runner:
    """Makes what tables need, one model over one dataset after another."""

    output: Path
    shard: Shard
    options: shared.SegmenterOptions
    networks: Mapping[str, str]  # checkpoints in place of the zoo's, by model
    _tried: dict[str, float | None] = field(default_factory=dict)
    _digests: dict[str, str | None] = field(default_factory=dict)

    def done(self, need: Need) -> bool:
        """Return whether all rows of a piece of work are kept, of these weights and this data."""
        found = Kept.read(self.output, need.work)
        archive = self.output / ARCHIVES / need.work.dataset / need.work.model / "submission.zip"
        if not need.scored and not archive.is_file():
            return False
        return set(need.work.places) <= set(found.rows) and found.about == self._about(need)

    def make(self, need: Need) -> bool:
        """Make all rows of a piece of work; return whether they are whole, and not left to other shards in part."""
        if self.done(need):
            return True
        assert need.videos is not None, "only work whose data is here is made"
        work, dataset = need.work, need.videos.dataset
        vocabulary, ids = dataset_vocabulary(need.videos.categories)
        options = self._of(work.model)
        segmenter = options.load(vocabulary, Stopwatch())
        digest = options.weights_digest(segmenter.model.name)
        from ovvis.reproduction.measure import Measurement, Network
        from ovvis.reproduction.videos import submission_archives

        with ExitStack() as stack:
            archives = None
            if not need.scored:
                settings = settings_of(dataset_settings(dataset), vocabulary, ids, segmenter, digest)
                places = self._places(need, segmenter, settings)
                archives = stack.enter_context(submission_archives(dataset, places, self.shard))
            network = Network(segmenter, digest)
            videos = {work.dataset: [need.videos]}
            measurement = Measurement([work.experiment], {work.model: network}, videos, self.output / PARTS, archives)
            self._measure(need, measurement)
            if measurement.jobs():
                return False
            with progress(f"counting {work.dataset}, {work.model}", "rows") as counted:
                outcome = measurement.outcomes(counted)[0]
            if archives is not None:
                with progress("packing", "videos"):
                    archives.pack()
        if measurement.left_out:
            warn(f"left out, for the network cannot do what they ask: {'; '.join(measurement.left_out)}")
        rows = {row.row.name: _known(asdict(row.by_seed[0])) if need.scored else {} for row in outcome.rows}
        rates = [row.rate for row in outcome.rows if row.rate]
        told = {"made": date.today().isoformat(), "ovvis": __version__, "frames_per_second": max(rates, default=None)}
        Kept(self._about(need), rows, told | {"settings": _plain(segmenter.describe())}).write(self.output, work)
        if rates and work.model not in self.networks:
            self._keep_seconds(need, segmenter, 1 / max(rates))
        return True

    def tried(self, need: Need) -> float | None:
        """Return the seconds of a frame of a model that was never measured here, tried on two frames of noise."""
        model = need.work.model
        if model not in self._tried:
            assert need.videos is not None, "only work whose data is here is timed"
            video = need.videos.dataset.videos[0]
            self._tried[model] = self._try(model, (video.height, video.width))
        return self._tried[model]

    def costs(self) -> None:
        """Count the parameters and operations of the papers' table of them; no weights are needed for that."""
        if Kept.costs(self.output):
            return
        from ovvis.models.load import load_model
        from ovvis.models.model import Model
        from ovvis.reproduction.costs import costs

        (row,) = published_tables()[COSTS].rows
        source = self.networks.get(row.model)
        model = load_model(None if source else row.model, source or UNTRAINED, device="cpu")
        assert isinstance(model, Model)  # of a name or a checkpoint
        Kept.write_costs(self.output, costs(model))

    def _measure(self, need: Need, measurement: Measurement) -> None:
        work = need.work
        jobs = measurement.jobs((self.shard.index - 1, self.shard.count))

        def state() -> str:
            left = count(len(measurement.jobs()), "video")
            return f"{left} of {work.dataset} with {work.model} to go; the same command goes on from there"

        with kept(self.output, state), progress(f"{work.dataset}, {work.model}", "frames") as done:
            measurement.run(jobs, done)

    def _of(self, model: str) -> shared.SegmenterOptions:
        if model in self.networks:
            return replace(self.options, model=None, weights=self.networks[model])
        return replace(self.options, model=model)

    def _about(self, need: Need) -> dict[str, Any]:
        assert need.videos is not None, "only of work whose data is here"
        model = need.work.model
        if model not in self._digests:  # of hundreds of megabytes
            self._digests[model] = self._of(model).weights_digest(model)
        return {
            "model": model,
            "weights_sha256": self._digests[model],
            "dataset": dataset_settings(need.videos.dataset),
            "truths": len(need.videos.dataset.truths),
            "precision": self.options.precision,
        }

    def _places(
        self, need: Need, segmenter: VideoSegmenter, settings: dict[str, Any]
    ) -> dict[Way, tuple[Path, dict[str, Any]]]:
        """Return where the archives of each way lie; those of the model's own way under its name alone."""
        from ovvis.reproduction.parts import way_key

        work = need.work
        out: dict[Way, tuple[Path, dict[str, Any]]] = {}
        for row in work.experiment.rows:
            way = row.way(segmenter.model.video)
            own = row.name in work.own_places
            name = work.model if own else f"{work.model}--{way_key(way)}"
            made_by = settings if own else {**settings, "way": repr(way)}
            out.setdefault(way, (self.output / ARCHIVES / work.dataset / name, made_by))
        return out

    def _try(self, model: str, size: tuple[int, int]) -> float | None:
        try:
            segmenter = self._of(model).load(Vocabulary.parse("thing"), Stopwatch())
        except OvvisError as error:
            warn(f"{model}: {error}")
            return None
        noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
        taken = []
        for _ in range(2):  # the first pays for what is made once
            started = time.perf_counter()
            with segmenter([noise, noise]):
                pass
            taken.append((time.perf_counter() - started) / 2)
        return taken[-1]

    def _keep_seconds(self, need: Need, segmenter: VideoSegmenter, seconds: float) -> None:
        from ovvis.pixels import network_size

        assert need.videos is not None, "it was measured"
        video = need.videos.dataset.videos[0]
        height, width = network_size(video.height, video.width, segmenter.short_edge, segmenter.long_edge)
        device = shared.device_title(segmenter.model.device.type)
        keep_measured(Measured(need.work.model, height, width, device, self.options.precision, seconds, need.frames))


def _known(figures: Mapping[str, float]) -> dict[str, float]:
    """Return figures without those that there is no truth of."""
    return {name: value for name, value in figures.items() if not math.isnan(value)}


def _plain(described: Mapping[str, Any]) -> Any:
    """Return settings as JSON knows them."""
    return json.loads(json.dumps(dict(described), default=str))
