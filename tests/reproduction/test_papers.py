import pytest

from ovvis.datasets.catalog import entries
from ovvis.errors import InputError
from ovvis.models.zoo import ZOO
from ovvis.reproduction.paper_pages import DATASET_NAMES
from ovvis.reproduction.papers import (
    Column,
    best_figures,
    choose_tables,
    figures_of_model,
    published_row,
    published_tables,
    stated_differences,
    stated_videos,
)

TABLES = published_tables()


def value(place, column):
    """Return a number by "TABLE: ROW" and "DATASET.FIGURE"."""
    number = published_row(place).number(Column(*column.split(".")))
    return None if number is None else number.value


def test_the_sources_are_whole():
    # Counted in the printed tables: rows, and numbers that are not dashes.
    assert {name: (len(t.rows), sum(len(row.numbers) for row in t.rows)) for name, t in TABLES.items()} == {
        "clip-vis-1": (21, 144),
        "clip-vis-2": (3, 15),
        "clip-vis-3": (4, 20),
        "clip-vis-4": (2, 10),
        "clip-vis-5": (15, 75),
        "clip-vis-readme": (4, 24),
        "clip-vis-abstract": (1, 2),
        "ovformer-1": (13, 78),
        "ovformer-2": (12, 67),
        "ovformer-3": (8, 26),
        "ovformer-fig-5": (5, 0),
        "ovformer-4": (1, 8),
        "ovformer-readme": (2, 8),
        "ovformer-readme-lvvis": (2, 4),
    }


@pytest.mark.parametrize(
    ("place", "column", "printed"),
    [
        ("clip-vis-1: CLIP-VIS R50", "lvvis_val.novel", 22.8),
        ("clip-vis-1: CLIP-VIS ConvNeXt-B", "burst_val.novel", 14.2),
        ("clip-vis-1: Detic-OWTB SwinB", "ytvis_2021_val.novel", 11.4),
        ("clip-vis-1: CLIP-VIS R50 YT19", "ytvis_2019_val.novel", None),
        ("clip-vis-1: OpenVIS R50+ViT-B", "burst_val.uncommon", 3.0),
        ("clip-vis-1: OpenVIS R50+ViT-B", "burst_val.novel", None),
        ("clip-vis-5: T 11, K 5", "burst_val.novel", 8.3),
        ("clip-vis-readme: R50", "lvvis_val.AP", 19.5),
        ("clip-vis-abstract: ConvNeXt-B", "lvvis_val.novel", 40.2),
        ("ovformer-1: OVFormer SwinB", "lvvis_test.base", 23.1),
        ("ovformer-2: OVFormer R50", "ovis_val.AP", 15.1),
        ("ovformer-3: Baseline", "lvvis_val.base", 17.4),
        ("ovformer-4: OVFormer R50", "encoder.flops", 121.0),
        # Where the papers differ.
        ("clip-vis-1: Detic-XMem R50", "lvvis_test.novel", 13.3),
        ("ovformer-1: Detic-XMem R50", "lvvis_test.novel", 3.6),
    ],
)
def test_numbers_stand_at_their_places(place, column, printed):
    assert value(place, column) == printed


@pytest.mark.parametrize("one", stated_differences(), ids=lambda one: f"{one.source}, {one.of}")
def test_the_texts_agree_with_the_tables(one):
    """A second reading: what a text says of two rows is the difference of their numbers in its own tables."""
    tables = [t for t in TABLES.values() if t.source.name == one.source and t.name in ("clip-vis-1", "ovformer-1")]
    tables += [t for t in TABLES.values() if t.source.name == one.source and t.name == "ovformer-2"]
    found = 0
    for column, points in one.figures.items():
        for table in tables:
            names = {row.name for row in table.rows}
            if not {one.of, one.against} <= names or column not in {c.name for c in table.columns}:
                continue
            other = column.replace("novel", "uncommon") if "OpenVIS" in one.against else column
            mine, theirs = value(f"{table.name}: {one.of}", column), value(f"{table.name}: {one.against}", other)
            assert mine - theirs == pytest.approx(points, abs=0.051), column
            found += 1
    assert found == (len(one.figures) if one.source in ("clip-vis-v1", "ovformer") else 0)


def test_a_readme_is_above_the_first_version_as_it_says():
    readme, first = value("clip-vis-readme: R50", "lvvis_val.AP"), value("clip-vis-1: OV2Seg R50", "lvvis_val.AP")
    assert readme - first == pytest.approx(5.3)


def test_every_row_is_made_or_says_why_not():
    for table in TABLES.values():
        assert len({row.name for row in table.rows}) == len(table.rows)
        for row in table.rows:
            assert bool(row.model) + bool(row.ours) + bool(row.why) == 1, (table.name, row.name)
            assert not row.model or row.model in ZOO
    known = {entry.name for entry in entries()}
    assert {column.dataset for t in TABLES.values() if t.name != "ovformer-4" for column in t.columns} <= known


def test_the_zoo_has_the_same_figures():
    for name, entry in ZOO.items():
        figures = {DATASET_NAMES[dataset]: of["AP"] for dataset, of in best_figures(name).items() if "AP" in of}
        if figures and not name.startswith("ov2seg"):
            assert figures == entry.published_ap, name
        assert entry.published_ap.items() <= figures.items() or not figures, name


def test_released_weights_figures_come_first():
    assert [one.value for one in figures_of_model("clip-vis-r50") if one.dataset == "ovis_val"] == [14.1, 12.3]
    assert best_figures("clip-vis-r50")["lvvis_val"] == {"AP": 19.5, "novel": 22.8}


def test_videos_that_the_papers_state():
    videos, note = stated_videos()["lvvis_test"]
    assert (videos["clip-vis-v1"], videos["ovformer"]) == (980, 908) and "4828" in note
    catalogued = {entry.name: entry.videos for entry in entries()}
    assert all(catalogued[name] in of.values() for name, (of, _) in stated_videos().items())


def test_choosing():
    assert [t.name for t in choose_tables(["ovformer-1", "clip-vis-2"])] == ["clip-vis-2", "ovformer-1"]
    assert len(choose_tables([])) == len(TABLES)
    with pytest.raises(InputError, match="did you mean clip-vis-1"):
        choose_tables(["clipvis-1"])
