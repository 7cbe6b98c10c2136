"""A run as tables: for a terminal, and as a page of Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ovvis.benchmark.compare import FEWEST, Change, ratio
from ovvis.benchmark.machine import told
from ovvis.benchmark.plan import Row
from ovvis.benchmark.published import OVFORMER, TABLES, WHY
from ovvis.benchmark.published import SIZE as PUBLISHED_SIZE
from ovvis.benchmark.records import Cost, Record, Result
from ovvis.plain import markdown_table

COMMONEST = (800, 1088)  # LVIS' 640x480 at a short edge of 800, padded


class Table:
    """Cells of text under a heading.

    Args:
        title: what it shows.
        columns: names; all but the first `left` hold numbers.
        left: columns of words.
    """

    def __init__(self, title: str, columns: Sequence[str], left: int = 1) -> None:
        self.title, self.columns, self.left = title, list(columns), left
        self.rows: list[list[str]] = []
        self.notes: list[str] = []

    def markdown(self) -> str:
        """Return it as Markdown."""
        table = markdown_table(self.columns, self.rows, self.left)
        return "\n".join([f"**{self.title}**", "", table, *self._said()])

    def _said(self) -> list[str]:
        return [line for note in self.notes for line in ("", note)]


def tables(record: Record) -> list[Table]:
    """Return everything that a run found."""
    videos = [result for result in record.measured if result.row.task == "video"]
    texts = [result for result in record.measured if result.row.task == "text"]
    alone = [result for result in record.measured if result.row.task == "network"]
    found = [_speed(videos), _stages(videos)] if videos else []
    if any(result.stage_mib for result in videos):
        found.append(_memory(videos))
    if alone:
        found.append(_speed(alone, "The network alone, seconds a frame"))
    if texts:
        found.append(_texts(texts))
    return [*found, *_costs(record.costs)]


def comparison(changes: Sequence[Change], before: Record, after: Record) -> Table:
    """Return what has changed between two runs."""
    common = shared([change.row for change in changes])
    table = Table(
        ", ".join([f"Against {before.date}", *common]),
        ["row", "verdict", "before", "now", "ratio", "by chance", "memory"],
        2,
    )
    for change in changes:
        memory = "" if change.memory is None else f"{change.memory:.2f}"
        table.rows.append(
            [
                title(change.row, common),
                change.verdict,
                seconds(change.before),
                seconds(change.after),
                f"{change.ratio:.3f}",
                f"{change.chance:.1%}",
                memory,
            ]
        )
    machine = ratio(before.yardstick, after.yardstick)
    table.notes.append(
        f"The yardstick, which is none of ours, takes {machine:.3f} times as long as then. A change is real where the "
        "samples would differ as much by chance in 1 % of cases at most, and the medians by more than 3 % and more "
        "than the yardstick's."
    )
    if any(change.verdict == "too few" for change in changes):
        table.notes.append(f"Too few: at least {FEWEST} repeats of both runs can tell a change from chance.")
    return table


def page(record: Record, changes: Table | None = None, picture: str = "") -> str:
    """Return a run as a page of Markdown."""
    blocks = [f"`{record.command}`, {record.date}. {told(record.machine)}."]
    if picture:
        blocks.append(f"![Seconds a frame]({picture})")
    blocks += [table.markdown() for table in (*([changes] if changes else []), *tables(record))]
    blocks += [f"{title(r.row)}: {r.problem}" for r in record.results if r.problem]
    return "\n\n".join([*blocks, caveat(record)]).strip() + "\n"


def caveat(record: Record) -> str:
    """Return what to know of the numbers."""
    random = sorted({r.row.model for r in record.measured if r.row.task == "video" and r.row.weights == "untrained"})
    lines = ["Seconds are medians of the repeats, with their range; rows take turns within one run."]
    if random:
        lines.append(
            f"{', '.join(random)}: random weights, on which the network's time does not depend (that of masks and "
            "records depends on what is seen, a little)."
        )
    return " ".join(lines)


def title(row: Row, without: Collection[str] = ()) -> str:
    """Return a row in words, but for those that stand elsewhere."""
    return ", ".join(part for part in parts(row).values() if part not in without)


def shared(rows: Sequence[Row]) -> list[str]:
    """Return the words that all of several rows share; a single row keeps its own."""
    if len(rows) < 2:
        return []
    others = [set(parts(row).values()) for row in rows[1:]]
    return [part for part in parts(rows[0]).values() if all(part in other for other in others)]


def parts(row: Row) -> dict[str, str]:
    """Return a row in words, by what they tell; what is as usual is not told."""
    words = {"model": row.model}
    if row.task == "text":
        words["words"] = f"texts of {row.words:,} words"
    elif row.task == "network":
        words["size"] = row.size
    else:
        words |= {"size": row.size, "words": f"{row.words:,} words", "frames": f"{row.frames:,} frames"}
    words |= {"device": row.device} if row.device != "cpu" else {}
    words["precision"] = row.precision
    words |= {"batch": f"batch {row.batch}"} if row.batch else {}
    words |= {"short edge": f"short edge {row.short_edge}"} if row.short_edge else {}
    words |= {"accelerate": row.accelerate.replace(",", " + ")} if row.accelerate else {}
    words |= {"tracker": row.tracker} if row.tracker else {}
    return words | ({"way": row.way} if row.way != "ovvis" else {})


def _headed(what: str, results: Sequence[Result]) -> tuple[str, list[str]]:
    """Return a table's title, with what its rows share, and what is left of each row's."""
    rows = [result.row for result in results]
    common = shared(rows)
    return ", ".join([what, *common]), [f"{n}. {title(row, common)}" for n, row in enumerate(rows, 1)]


def seconds(value: float) -> str:
    """Return seconds with three digits that count."""
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def _speed(results: Sequence[Result], what: str = "Seconds a frame") -> Table:
    head, names = _headed(what, results)
    table = Table(head, ["row", "median", "range", "frames/s", "loaded MiB", "peak MiB"])
    for name, result in zip(names, results, strict=True):
        peak, loaded = result.peak_mib, result.loaded_mib
        table.rows.append(
            [
                name,
                seconds(result.median),
                _range(result),
                f"{1 / result.median:.3g}",
                "" if loaded is None else f"{loaded:.0f}",
                "" if peak is None else f"{peak:.0f}",
            ]
        )
    fewest = min(len(result.samples) for result in results)
    if fewest < FEWEST:
        table.notes.append(f"Only {fewest} of each at least: {FEWEST} and more can be compared with another run.")
    return table


def _stages(results: Sequence[Result]) -> Table:
    names = _stage_names(results)
    table = Table("Milliseconds a frame by stage, of the same rows", ["row", *names])
    for number, result in enumerate(results, 1):
        spent = (result.stages.get(stage) for stage in names)
        table.rows.append([f"{number}.", *("" if took is None else f"{took * 1000:.1f}" for took in spent)])
    return table


def _stage_names(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(name for result in results for name in result.stages))


def _memory(results: Sequence[Result]) -> Table:
    order = [*_stage_names(results), "network"]
    held_in = dict.fromkeys(name for result in results for name in result.stage_mib)
    names = sorted(held_in, key=lambda name: order.index(name) if name in order else len(order))
    table = Table("Most MiB held within a stage, above the loaded model, of the same rows", ["row", *names])
    for number, result in enumerate(results, 1):
        held = (result.stage_mib.get(stage) for stage in names)
        table.rows.append([f"{number}.", *("" if mib is None else f"{mib:.0f}" for mib in held)])
    table.notes.append(
        "Of a few frames, while freed memory goes back at once; the network's parts count for the network, too. A run "
        "keeps what is freed for the next frame: its peak is in the first table."
    )
    return table


def _texts(results: Sequence[Result]) -> Table:
    head, names = _headed("Texts of new words, seconds", results)
    table = Table(head, ["row", "median", "range", "words/s"])
    for name, result in zip(names, results, strict=True):
        each = f"{result.row.words / result.median:.0f}"
        table.rows.append([name, seconds(result.median), _range(result), each])
    return table


def _range(result: Result) -> str:
    return f"{seconds(min(result.seconds))} to {seconds(max(result.seconds))}"


def _costs(costs: Sequence[Cost]) -> list[Table]:
    """Return parameters and operations; beside what authors published where they did."""
    found = []
    for model in dict.fromkeys(cost.model for cost in costs):
        own = [cost for cost in costs if cost.model == model]
        sizes = [f"G at {cost.height}x{cost.width}" for cost in own]
        table = Table(f"{model}: parameters (M) and multiplications with additions (G) a frame", ["part", "M", *sizes])
        theirs = TABLES.get(model)
        if theirs:
            table.columns += ["M, Table 4", f"G, Table 4 ({PUBLISHED_SIZE[0]}x{PUBLISHED_SIZE[1]})"]
            table.notes.append(WHY)
        for number, part in enumerate(own[0].parts):
            cells = [part.name, f"{part.parameters / 1e6:.1f}"]
            cells += [f"{cost.parts[number].operations / 2e9:.1f}" for cost in own]
            if theirs:
                line = OVFORMER.get(part.name)
                cells += ["", ""] if line is None else [f"{line.parameters}", f"{line.operations}"]
            table.rows.append(cells)
        found.append(table)
    return found
