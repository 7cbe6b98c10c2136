from dataclasses import fields

import pytest

from ovvis.cli.reproduce import PACKAGED
from ovvis.datasets.stickers import SPLITS
from ovvis.errors import InputError
from ovvis.inference.trackers import build_tracker
from ovvis.models.load import load_model
from ovvis.models.settings import TRACKERS, VideoSettings
from ovvis.models.zoo import SMALL_MODEL, find_model
from ovvis.reproduction.experiments import EXPERIMENTS, choose
from ovvis.reproduction.papers import published_tables
from ovvis.reproduction.rows import MODEL, OV2SEG, OVFORMER

ONE_SPLIT = ("families", "stages", "stages-oracles")  # on val alone
KNOWN = {field.name for field in fields(VideoSettings)}


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_a_table_is_sound(experiment):
    names = [row.name for row in experiment.rows]
    assert len(set(names)) == len(names)
    assert experiment.reference in ("", *names)
    assert set(experiment.splits) <= set(SPLITS)
    assert {row.against for row in experiment.rows} <= {"", *names}
    assert bool(experiment.against) == any(row.against for row in experiment.rows)
    ways = [(row.loaded, row.way(VideoSettings())) for row in experiment.rows]
    assert len(set(ways)) == len(ways)  # no two rows measure the same
    several = experiment.name in ("iou", "families", "systems", "precision", "precision-float16", *ONE_SPLIT)
    for row, (_, way) in zip(experiment.rows, ways, strict=True):
        assert row.settings.keys() <= KNOWN and (row.network == MODEL or several)
        assert all(experiment.paper(row.name, split) is None for split in {*SPLITS} - {*experiment.splits})
        build_tracker(way.settings)


def test_the_issue_is_covered():
    rows = {e.name: {row.name for row in e.rows} for e in EXPERIMENTS}
    assert rows["weighting"] == {"none", "mask IoU", "object", "both"}
    assert rows["iou"] == {"queries", "pixels"}
    assert {"adjacent", "long-term", "T 9, K 5"} <= rows["matching"] and len(rows["matching"]) == 15 + 4
    assert all({"val", "val-long"} <= set(e.splits) for e in EXPERIMENTS if e.name not in ONE_SPLIT)
    windows = [
        row.settings["window"]
        for e in EXPERIMENTS
        if e.name == "families"
        for row in e.rows
        if "window" in row.settings
    ]
    assert windows == [1, 3, 5, 7, 10, None]
    assert "val-hard" in EXPERIMENTS[0].splits
    assert rows["trackers"] == set(TRACKERS)
    named = {"Detic-SORT", "Detic-OWTB", "Detic-XMem", "DetPro-SORT", "OpenVIS", "MinVIS", "OV2Seg fine-tuned"}
    assert named < rows["systems"]


def test_one_row_is_the_packaged_models_own_and_one_as_released():
    own = find_model(SMALL_MODEL).config
    assert {"birth": own.birth, "names": own.names, "silence": own.silence} == EXPERIMENTS[0].rows[-1].settings
    assert EXPERIMENTS[0].rows[0].way(VideoSettings(birth=0.5, names=0.2, silence=0.5)).settings == VideoSettings()
    assert EXPERIMENTS[0].rows[0].way(VideoSettings(silence=None)).settings.silence is None


def test_rows_of_a_precision_are_the_models_own_and_stand_beside_float32():
    models = {MODEL: SMALL_MODEL, **PACKAGED}
    for name, kind in (("precision", "bfloat16"), ("precision-float16", "float16")):
        (experiment,) = choose([name])
        rows = {row.name: row for row in experiment.rows}
        assert {row.network for row in rows.values()} == {MODEL, OVFORMER, OV2SEG}
        for row in rows.values():
            own = load_model(models[row.network]).video  # what `ovvis segment` does with the model
            assert row.way(own).settings == own
            if row.against:
                whole = rows[row.against]
                assert (row.precision, whole.precision) == (kind, "float32") and row.network == whole.network
                assert row.settings == whole.settings and row.loaded == f"{row.network} in {kind}"


def test_the_papers_figures_stand_beside_their_rows():
    known = {e.name: e for e in EXPERIMENTS}
    assert known["modules"].paper("WOC", "val") == (16.9, 21.0)
    assert known["matching"].paper("T 9, K 5", "val-long") == (12.3, None)
    assert known["families"].paper("OVFormer, offline", "val") == (21.1, 19.9)
    assert known["families"].paper("OVFormer, image-trained with alignment, online", "val") == (20.7, 21.7)
    stages = [known["stages"].paper(row.name, "val") for row in known["stages"].rows]
    assert stages == [(14.2, 11.9), (20.7, 21.7), (21.1, 19.9), (21.9, 21.8), None, None]
    assert known["systems"].paper("Detic-SORT", "val-long") == (6.7, None)
    assert known["systems"].paper("OV2Seg fine-tuned", "val") == (14.5, 10.1)
    assert known["systems"].paper("MinVIS", "val") is None
    assert known["matching"].paper("T 9, K 5, births", "val") is known["splits"].paper("as released", "val") is None
    for table in published_tables().values():  # every printed row of an ablation is one of ours
        rows = {row.name for row in known[table.ablation].rows} if table.ablation else set()
        assert {row.ours for row in table.rows if row.ours} <= rows


def test_choosing():
    assert choose([]) == EXPERIMENTS
    assert [e.name for e in choose(["matching", "splits"])] == ["splits", "matching"]
    assert {e.name: e.splits for e in choose(["matching", "splits"], ["val-hard", "val"])} == {
        "splits": ("val", "val-hard"),
        "matching": ("val",),
    }
    assert [e.name for e in choose([], ["val-hard"])] == ["splits"]
    with pytest.raises(InputError, match="did you mean val-long"):
        choose([], ["val_long"])
    with pytest.raises(InputError, match="matching are not of val-hard"):
        choose(["matching"], ["val-hard"])
    with pytest.raises(InputError, match="did you mean matching"):
        choose(["splits", "matchin"])
