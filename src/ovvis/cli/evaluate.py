"""`ovvis evaluate`: a dataset's truth and a model's results in, the papers' figures out."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from ovvis.cli.console import count, listing, out, progress, warn
from ovvis.cli.explanation import EXPLAINED, save_explanation
from ovvis.cli.options import DataRoot, DatasetName, Frames, Overwrite
from ovvis.datasets.annotations import LOST_TRUTH, Annotations
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.problems import Problems
from ovvis.errors import InputError, nearest
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.explanation import Explanation
from ovvis.evaluation.hota import FIGURES, HOTA_RULES, MASKS, RELEASED, HotaEvaluator
from ovvis.evaluation.report import Report
from ovvis.evaluation.rules import BURST, COCO, LVIS, RULES, Rules
from ovvis.files.output import OutputFolder
from ovvis.predictions.result_files import ResultFiles
from ovvis.predictions.track_files import TrackFiles, find_track_files
from ovvis.version import __version__

METRICS_JSON, METRICS_CSV, CATEGORIES_CSV = "metrics.json", "metrics.csv", "categories.csv"
WRITTEN = (METRICS_JSON, METRICS_CSV, CATEGORIES_CSV, *EXPLAINED)
ROWS = 10  # best and worst categories that are shown


def evaluate(
    dataset: DatasetName,
    results: Annotated[
        str,
        typer.Argument(help="results.json, a zip of it, a glob, or what `ovvis predict` or `ovvis segment` wrote."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help=f"Folder for {METRICS_JSON}, {METRICS_CSV} and {CATEGORIES_CSV}.", metavar="DIR"),
    ] = None,
    rules: Annotated[
        str | None, typer.Option(help=f"How to count: {', '.join(RULES)}; the dataset's own if not given.")
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help=f"Say what AP is lost to; --output gets {', '.join(EXPLAINED)} too.")
    ] = False,
    frames: Frames = None,
    by_category: Annotated[
        bool, typer.Option("--by-category", help=f"Show the {ROWS} best and the {ROWS} worst categories.")
    ] = False,
    hota: Annotated[
        bool | None, typer.Option("--hota/--no-hota", help="Class-averaged HOTA too; for BURST it is the default.")
    ] = None,
    hota_rules: Annotated[
        str,
        typer.Option(
            help=f"Of HOTA: `{MASKS}` compares masks; `{RELEASED}` gives what the program of BURST's authors gives, "
            "which compares boxes."
        ),
    ] = MASKS,
    hota_min_score: Annotated[
        float | None, typer.Option(help="Leave results below this score out of HOTA; all count if not given.")
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(
            help="Of a tracks.json of `ovvis segment`: which of the dataset's videos it is; without it, the one that "
            "has its source's name.",
            metavar="ID_OR_NAME",
        ),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave out results of unknown videos and categories, and count them.")
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            help="Leave out whatever is wrong in the truth and in the results, and count it; else refuse it.",
        ),
    ] = False,
    renumber: Annotated[
        bool,
        typer.Option(
            "--renumber", help="Give the annotation of id 0 another id: the released evaluators never find that one."
        ),
    ] = False,
    data_root: DataRoot = None,
    overwrite: Overwrite = False,
) -> None:
    """Score results against a dataset's truth: AP and AR over space and time, by group and by category."""
    asked = None if rules is None else _rules(rules)
    if hota_min_score is not None and math.isnan(hota_min_score):
        raise InputError("--hota-min-score nan: it must be a number; leave it out to count all results")
    if hota_rules not in HOTA_RULES:
        raise InputError(f"--hota-rules {hota_rules}: there are no such rules; {nearest(hota_rules, HOTA_RULES)}")
    if not results.strip():
        raise InputError("no results are given: name a file, a zip, a folder or a glob")
    if explain and output is None:
        raise InputError("--explain writes a report: say with --output which folder it goes into")
    started = time.perf_counter()
    truth = _truth(dataset, data_root, frames, skip_bad, renumber, asked)
    files: ResultFiles | TrackFiles
    if find_track_files(results):
        files = TrackFiles(results, truth, video)
        truth = files.annotations
        if not truth.truths:
            raise InputError(f"video {truth.videos[0].name!r} has no true track: there is nothing to compare with")
    elif video is not None:
        raise InputError(f"--video is for a tracks.json of ovvis segment, and {results} is none: leave it out")
    else:
        files = ResultFiles(results, truth, skip_unknown=skip_unknown, skip_bad=skip_bad)
    for line in files.told:
        warn(line)
    chosen = _chosen(asked, truth, own=find_dataset(dataset, root=data_root).entry is None)
    tracking = _hota(truth, hota_min_score, hota_rules) if (chosen is BURST if hota is None else hota) else None
    videos = {video.id for video in truth.videos}
    explanation: Explanation | None = None
    judge = (Explainer if explain else Evaluator)(
        truth.categories, truth.truths, chosen, videos, truth.absent, truth.not_exhaustive
    )
    if output is None:
        scored = _score(truth, files, judge, tracking)
        report = judge.report()
    else:
        with OutputFolder(output, WRITTEN, overwrite=overwrite) as folder:
            scored = _score(truth, files, judge, tracking)
            report = judge.report()
            content = {"dataset": truth.name, "results": results, "count": scored, "ovvis": __version__}
            content |= {"hota": tracking.metrics(), "hota_rules": hota_rules} if tracking else {}
            left_out = {"left_out": [str(note) for note in (*truth.notes, *files.told, *files.problems.left_out())]}
            _save(folder, report, content | {"warnings": dict(files.warnings)} | left_out)
            if isinstance(judge, Explainer):
                explanation = judge.explain()
                save_explanation(folder, explanation, truth, files)
    _show(report, by_category)
    if tracking:
        out.print(_hota_table(tracking))
    if explanation is not None:
        out.print(explanation.as_table())
    named = {note.reason: note for note in files.problems.left_out()}
    for what, times in files.warnings.items():
        warn(str(named.get(what, f"{times} {what}")))
    out.print(
        f"{count(scored, 'result')} in {count(len(truth.videos), 'video')}, {count(len(truth.truths), 'true track')}, "
        f"{time.perf_counter() - started:.1f} s"
    )
    if output is not None:
        names = (METRICS_JSON, METRICS_CSV, CATEGORIES_CSV, *(EXPLAINED if explain else ()))
        out.print(f"Results: {escape(str(folder.path))} ({', '.join(names)})", soft_wrap=True)


def _truth(
    dataset: str, root: Path | None, frames: Path | None, skip_bad: bool, renumber: bool, rules: Rules | None
) -> Annotations:
    """Return a dataset that can be scored with, and say what is unusual about it."""
    own = find_dataset(dataset, root, frames).entry is None
    truth = open_dataset(dataset, root, frames, Problems(refuse=not skip_bad))
    for note in truth.notes:
        warn(str(note))
    if not truth.truths:
        if truth.notes:
            raise InputError(f"dataset {truth.name} holds no truth that can be used: mend what is told above")
        raise InputError(
            f"dataset {truth.name} holds no truth: its server keeps it, or another file has it; `ovvis datasets` says "
            "where"
        )
    if truth.boxes_alone:
        raise InputError(
            f"dataset {truth.name} holds boxes alone: masks are missing (segmentations, or segmentation) in all of its "
            f"{count(len(truth.truths), 'annotation')}, and they are what is compared; add them"
        )
    if renumber:
        return truth.renumbered()
    if own and truth.loses_truth(rules):
        warn(LOST_TRUTH)
    return truth


def _rules(name: str) -> Rules:
    if name not in RULES:
        raise InputError(f"rules {name!r} are not known; {nearest(name, RULES)}")
    return RULES[name]


def _chosen(asked: Rules | None, truth: Annotations, own: bool) -> Rules:
    """Return the rules to count by; say so where a user's own file decides, or may need others."""
    saying, total = sum(bool(video.absent or video.not_exhaustive) for video in truth.videos), len(truth.videos)
    if asked is None:
        if own and truth.rules is LVIS:
            warn("every image of the file says what is not annotated: counted by LVIS' rules; --rules coco for COCO's")
        elif saying and truth.rules is COCO:
            warn(
                f"{saying:,} of {total:,} images say what is not annotated, which COCO's rules pass over: unmatched "
                "results count as wrong there; --rules lvis counts as LVIS does"
            )
        if truth.rules is LVIS and not saying:
            warn(f"no image of {truth.name} lists absent categories: only results of those annotated in it count")
        return truth.rules
    if asked is LVIS and truth.rules is not LVIS and not saying:
        raise InputError(
            f"--rules lvis counts only what is annotated, but {truth.name} does not say what is: neg_category_ids and "
            "not_exhaustive_category_ids are missing; use --rules coco"
        )
    return asked


def _hota(truth: Annotations, min_score: float | None, rules: str) -> HotaEvaluator:
    return HotaEvaluator(
        truth.categories,
        truth.truths,
        truth.absent,
        truth.not_exhaustive,
        float("-inf") if min_score is None else min_score,
        rules,
    )


def _score(
    truth: Annotations, files: ResultFiles | TrackFiles, judge: Evaluator | Explainer, tracking: HotaEvaluator | None
) -> int:
    """Give all results to an evaluator; return how many there are."""
    count, seen = 0, set()
    with progress("scoring", "videos", len(truth.videos)) as done:
        for tracks in files:
            judge.update(tracks)
            if tracking:
                tracking.update(tracks)
            count += len(tracks)
            seen.add(tracks[0].video_id)
            done(len(seen))
    files.warnings.update(tracking.left_out if tracking else {})
    if missing := len(truth.videos) - len(seen):
        files.warnings["videos without a result"] += missing
    return count


def _save(folder: OutputFolder, report: Report, content: dict[str, Any]) -> None:
    content |= report.as_dict()
    folder.file(METRICS_JSON).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    folder.file(METRICS_CSV).write_text(report.as_csv(), encoding="utf-8")
    folder.file(CATEGORIES_CSV).write_text(report.as_csv(by_category=True), encoding="utf-8")


def _show(report: Report, by_category: bool) -> None:
    out.print(report.as_table())
    if not by_category:
        return
    order = [k for k in np.argsort(-report.category_ap, kind="stable") if report.category_ap[k] >= 0]
    if len(order) <= 2 * ROWS:
        out.print(_category_table(report, "categories, the best first", order))
        return
    out.print(_category_table(report, f"the {ROWS} best of {len(order)} categories", order[:ROWS]))
    out.print(_category_table(report, f"the {ROWS} worst", order[: -ROWS - 1 : -1]))


def _hota_table(tracking: HotaEvaluator) -> Table:
    how = "of masks" if tracking.rules == MASKS else "of boxes, as BURST's authors released it"
    title = f"HOTA {how}, mean over categories; percent"
    table = listing(title)
    for name in ("", *FIGURES):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    for group, figures in tracking.metrics().items():
        table.add_row(group, *("-" if figures[name] < 0 else f"{100 * figures[name]:.1f}" for name in FIGURES))
    return table


def _category_table(report: Report, title: str, chosen: list[Any]) -> Table:
    table = listing(f"{title}; percent")
    table.add_column("category")
    table.add_column("groups")
    names = [name for name in report.names if name in ("AP", "AP50", "AP75") or name[2:].isdigit()]
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    all_figures = report.category_metrics
    for k in chosen:
        category, figures = report.categories[k], all_figures[k]
        shown = (f"{100 * figures[name]:.1f}" for name in names)
        table.add_row(escape(category.name), ", ".join(category.groups), *shown)
    return table
