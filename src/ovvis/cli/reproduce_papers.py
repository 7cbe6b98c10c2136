"""`ovvis reproduce papers`: the tables of both papers, published and ours side by side."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.cli import segmenter as shared
from ovvis.cli.console import count, listing, out, warn
from ovvis.cli.options import DataRoot
from ovvis.cli.papers_run import ARCHIVES, Runner
from ovvis.cli.shards import names_in, share_folder
from ovvis.errors import InputError, nearest
from ovvis.files.output import whole_file
from ovvis.paths import user_path
from ovvis.predictions.folder import Shard
from ovvis.reproduction.answers import Key, filled, read_answers, template
from ovvis.reproduction.comparison import ComparedTable, compare
from ovvis.reproduction.kept_figures import FIGURES, Kept, keep_answers, kept_answers
from ovvis.reproduction.needs import Need, look_for, seconds_a_frame, unusual
from ovvis.reproduction.paper_pages import DATASET_NAMES, as_csv, html, markdown, summary
from ovvis.reproduction.papers import PublishedTable, choose_tables, published_tables
from ovvis.reproduction.plan import COSTS, makers, plan
from ovvis.version import __version__

PAPERS_MD, PAPERS_CSV, PAPERS_HTML, TEMPLATE = "papers.md", "papers.csv", "papers.html", "answers-template.toml"
REHEARSAL, ANSWERS_TOML = "rehearsal", "answers.toml"
TITLE = "The papers' tables, published and ours"
NO_TABLES = "none of the tables that are asked for can be made here"


def papers(
    output: Annotated[
        Path, typer.Option(help=f"Folder for {PAPERS_MD}, {PAPERS_CSV}, {PAPERS_HTML} and all that is measured.")
    ] = Path("papers"),
    tables: Annotated[
        str | None, typer.Option(help=f"Some of {', '.join(published_tables())}; all if not given.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(help="Rows of these models of `ovvis models` alone, with commas between.")
    ] = None,
    data_root: DataRoot = None,
    show_plan: Annotated[bool, typer.Option("--plan", help="Say what would be made, and make nothing.")] = False,
    answer: Annotated[
        list[Path] | None,
        typer.Option(
            help=f"What a server answered, as a TOML file; OUTPUT/{TEMPLATE} is one to fill in.", metavar="FILE"
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="MODEL=CHECKPOINT: weights to take in place of the zoo's; iou-pixels=CHECKPOINT for Table IV."
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: each n-th video from the i-th on; n processes, or machines, share one folder.")
    ] = "1/1",
    rehearse: Annotated[
        bool,
        typer.Option("--rehearse", help="Run all of it on small made-up data and networks: the test that it works."),
    ] = False,
    mirror: shared.Mirror = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionName = "float32",
    batch: shared.Batch = None,
) -> None:
    """The tables of both papers: published, ours, the difference, and whether it is within a stated tolerance."""
    shared.prepare_process()
    output, part = user_path(output), Shard.parse(shard)
    chosen = choose_tables(names_in(tables))
    works = plan(chosen, names_in(models))
    given = _networks(network or [])
    if rehearse:
        data_root, given = _rehearsal(output, data_root, given)
    options = shared.SegmenterOptions(mirror=mirror, device=device, precision=precision, batch=batch)
    options.check()
    needs = look_for(works, data_root, given)
    asked = dict.fromkeys((need.work.dataset, need.work.model) for need in needs if need.asks_server)
    answers = [read_answers(user_path(path), asked) for path in answer or ()]
    for doubt in (doubt for one in answers for doubt in one.doubts):
        warn(doubt)
    runner = Runner(output, part, options, given)
    _show(needs, runner, precision, rehearse)
    costs = any(table.name == COSTS for table in chosen)
    if show_plan:
        return
    ready = [need for need in needs if need.ready]
    if not ready and not costs and not answers:
        raise InputError(f"{NO_TABLES}: the plan above says what is missing and how it is had")
    with share_folder(output, part, restart=False):
        for one in answers:
            keep_answers(output, one.figures)
        waiting = [need for need in ready if not runner.make(need)]
        if costs:
            runner.costs()
        if rehearse and not waiting:
            _ask(asked, output)
        if waiting:
            out.print(
                f"{count(len(waiting), 'model')} with videos left to other shards: the same command with the others, "
                "or without --shard, goes on from there.",
                soft_wrap=True,
            )
            return
        compared = _compared(chosen, needs, output)
        _write(compared, output, asked, rehearse)


def _networks(given: Sequence[str]) -> dict[str, str]:
    out = {}
    for pair in given:
        name, found, what = pair.partition("=")
        if not found or not what:
            raise InputError(f"--network {pair!r}: it must be MODEL=CHECKPOINT")
        if name not in makers():
            raise InputError(f"--network {pair!r}: no row is made by a model of that name; {nearest(name, makers())}")
        out[name] = what
    return out


def _rehearsal(output: Path, data_root: Path | None, given: Mapping[str, str]) -> tuple[Path, dict[str, str]]:
    if data_root is not None or given:
        raise InputError("--rehearse makes its own data and networks: leave --data-root and --network out")
    from ovvis.reproduction.rehearsal import rehearsal

    return rehearsal(output / REHEARSAL)


def _ask(asked: Mapping[Key, None], output: Path) -> None:
    """Ask the made-up servers, and take their answers as a user's file would give them."""
    from ovvis.reproduction.rehearsal import DATA, ask_servers

    answers = ask_servers(output / REHEARSAL / DATA, {key: _upload(output, key) for key in asked})
    file = output / ANSWERS_TOML
    with whole_file(file) as partial:
        partial.write_text(filled(answers), encoding="utf-8")
    keep_answers(output, read_answers(file, asked).figures)


def _upload(output: Path, key: Key) -> Path:
    return output / ARCHIVES / key[0] / key[1]


def _show(needs: Sequence[Need], runner: Runner, precision: str, rehearsed: bool) -> None:
    """Say what can be made, what is missing and how it is had, and how long it will take."""
    table = listing("What can be made here", narrow=True)
    for name in ("dataset", "model", "rows", "state", "frames", "time"):
        table.add_column(name, justify="right" if name in ("rows", "frames", "time") else "left", no_wrap=True)
    total, untimed = 0.0, []
    for need in needs:
        work, taken, frames = need.work, "", ""
        if need.ready:
            state = "done" if runner.done(need) else ("score" if need.scored else "archive")
            frames = f"{need.frames * need.passes:,}"
            if state != "done":
                seconds = seconds_a_frame(work.model, precision) or runner.tried(need)
                taken = _duration(need.frames * need.passes * seconds) if seconds else "?"
                total += need.frames * need.passes * (seconds or 0)
                untimed += [] if seconds else [work.model]
        else:
            both = need.data_missing and need.weights_missing
            state = f"{'both' if both else 'data' if need.data_missing else 'weights'} missing"
        name = DATASET_NAMES.get(work.dataset, work.dataset)
        table.add_row(name, work.model, str(len(work.places)), state, frames, taken)
    out.print(table)
    if total:
        out.print(f"About {_duration(total)} on this machine for all of it; --shard i/n divides it.", soft_wrap=True)
    for model in dict.fromkeys(untimed):
        warn(f"{model} could not be timed: the bar gives an estimate once it runs")
    for title, told in (("Data", "data_missing"), ("Weights", "weights_missing")):
        lines = {
            (n.work.dataset if title == "Data" else n.work.model): getattr(n, told) for n in needs if getattr(n, told)
        }
        for name, line in lines.items():
            out.print(f"{title} missing, {name}: {escape(line)}", soft_wrap=True)
    for line in dict.fromkeys(line for need in needs for line in unusual(need)) if not rehearsed else ():
        warn(line)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _compared(chosen: Sequence[PublishedTable], needs: Sequence[Need], output: Path) -> tuple[ComparedTable, ...]:
    found: dict[tuple[str, str], Mapping[str, float]] = {}
    states: dict[tuple[str, str], str] = {}
    made_by: dict[str, str] = {}
    answered = kept_answers(output)
    for need in needs:
        work = need.work
        rows = Kept.read(output, work).rows
        for place in work.places:
            key = place, work.dataset
            made_by[place] = work.model
            if rows.get(place):
                found[key] = rows[place]
            elif (work.dataset, work.model) in answered and place in work.own_places:
                found[key] = answered[work.dataset, work.model]
            elif need.data_missing or need.weights_missing:
                states[key] = "the data is not here" if need.data_missing else "the weights are not here"
            elif place in rows:
                states[key] = "a server has the truth: the archive is made, give its answer with --answer"
            else:
                states[key] = "the network cannot do what the row asks"
    for table in chosen:
        if table.name == COSTS:
            for row in table.rows:
                for name, figures in Kept.costs(output).items():
                    found[f"{table.name}: {row.name}", name] = figures
                made_by[f"{table.name}: {row.name}"] = row.model
    return compare(chosen, found, states, made_by)


def _write(compared: Sequence[ComparedTable], output: Path, asked: Mapping[Key, None], rehearsed: bool) -> None:
    title = f"{TITLE}: a rehearsal on made-up data" if rehearsed else TITLE
    command = shlex.join(["ovvis", *sys.argv[1:]])
    foot = f"{command}; ovvis {__version__}, {date.today().isoformat()}; what made each figure: {FIGURES}/."
    uploads = {key: _upload(output, key) for key in asked}
    there = {key: path for key, path in uploads.items() if (path / "submission.zip").is_file()}
    texts = {
        PAPERS_MD: markdown(compared, title, foot),
        PAPERS_CSV: as_csv(compared),
        PAPERS_HTML: html(compared, title, foot),
        **({TEMPLATE: template(tuple(asked), there)} if asked else {}),
    }
    for name, text in texts.items():
        with whole_file(output / name) as partial:
            partial.write_text(text, encoding="utf-8")
    table = listing(escape(title), narrow=True)
    for name in ("table", "published", "made", "within", "outside"):
        table.add_column(name, justify="left" if name == "table" else "right", no_wrap=True)
    for one in compared:
        cells = [cell for row in one.rows for cell in row.cells]
        published = sum(cell.published is not None for cell in cells)
        made = sum(cell.ours is not None for cell in cells)
        table.add_row(one.table.name, *map(str, (published, made, one.count("within"), one.count("outside"))))
    out.print(table)
    out.print(escape(summary(compared)), soft_wrap=True)
    if there and not rehearsed:
        out.print(
            f"{count(len(there), 'archive')} for servers below {escape(str(output / ARCHIVES))}; type what they answer "
            f"into a copy of {TEMPLATE}, and give it with --answer.",
            soft_wrap=True,
        )
    out.print(f"Results: {escape(str(output))} ({', '.join(texts)})", soft_wrap=True)
