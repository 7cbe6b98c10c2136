"""The files of `ovvis evaluate --explain`."""

from __future__ import annotations

import json
from collections import defaultdict

from ovvis.cli.console import progress
from ovvis.datasets.annotations import Annotations
from ovvis.evaluation.explanation import Explanation
from ovvis.evaluation.records import ResultTrack
from ovvis.files.output import OutputFolder
from ovvis.predictions.result_files import ResultFiles
from ovvis.predictions.track_files import TrackFiles
from ovvis.report.explain_page import explain_page
from ovvis.report.strips import Strip, make_strip

EXPLAINED = ("explain.html", "explain.json", "errors.csv")
VIDEOS = 10  # painted, the worst


def save_explanation(
    folder: OutputFolder, explanation: Explanation, truth: Annotations, files: ResultFiles | TrackFiles
) -> None:
    """Write the report, its figures and the list of errors; reads the results of the worst videos once more."""
    page, figures, errors = (folder.file(name) for name in EXPLAINED)
    names = {video.id: video.name for video in truth.videos}
    text = explain_page(explanation, truth.name, str(files.path), _paint(explanation, truth, files))
    page.write_text(text, encoding="utf-8")
    figures.write_text(json.dumps(explanation.as_dict(names), indent=1) + "\n", encoding="utf-8")
    errors.write_text(explanation.errors_csv(names), encoding="utf-8")


def _paint(explanation: Explanation, truth: Annotations, files: ResultFiles | TrackFiles) -> list[Strip]:
    worst = dict(explanation.worst_videos(VIDEOS))
    chosen = {video.id: video for video in truth.videos if video.id in worst}
    found: dict[int, list[ResultTrack]] = defaultdict(list)
    # Masks are not kept: those of a few videos are read again, the others' passed over as unknown.
    for tracks in files.some(set(chosen)):
        found[tracks[0].video_id] += tracks
    strips = []
    with progress("painting", "videos", len(worst)) as done:
        for video, loss in worst.items():
            strips.append(make_strip(explanation, truth, chosen[video], loss, found[video]))
            done(len(strips))
    return strips
