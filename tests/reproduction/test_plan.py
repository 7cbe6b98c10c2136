import pytest

from ovvis.datasets.catalog import entries
from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError
from ovvis.models.settings import VideoSettings
from ovvis.reproduction.needs import look_for, unusual
from ovvis.reproduction.papers import choose_tables
from ovvis.reproduction.plan import plan
from ovvis.reproduction.stand_ins import write_stand_ins

SERVED = {"lvvis_test", "ytvis_2019_val", "ytvis_2021_val"}


def test_every_row_that_a_model_makes_is_planned_once():
    works = plan(choose_tables([]))
    places = [(place, work.dataset) for work in works for place in work.places]
    assert len(places) == len(set(places)) and len({(w.model, w.dataset) for w in works}) == len(works)
    by = {(work.dataset, work.model): work for work in works}
    # One pass of the network makes Tables I to V and the README's row.
    assert len(by["lvvis_val", "clip-vis-r50"].places) == 1 + 3 + 4 + 1 + 15 + 1
    assert len(by["burst_val", "clip-vis-r50"].places) == 1 + 3 + 4 + 1 + 15 + 1
    assert by["lvvis_val", "iou-pixels"].places == ("clip-vis-4: pixels",)
    assert set(by["lvvis_val", "ovformer-r50"].places) >= {"ovformer-3: semi-online", "ovformer-fig-5: T 10"}
    assert by["ytvis_2019_val", "ovformer-r50-lvis"].places[0] == "ovformer-2: OVFormer R50"
    # A server is asked about models as released alone: each has one archive.
    for work in works:
        assert work.dataset not in SERVED or set(work.places) == set(work.own_places)


def test_rows_of_an_ablation_have_its_settings():
    (work,) = (w for w in plan(choose_tables(["clip-vis-5"])) if w.dataset == "ovis_val")
    ways = {row.name: row.way(VideoSettings()).settings for row in work.experiment.rows}
    assert (ways["clip-vis-5: T 7, K 3"].memory, ways["clip-vis-5: T 7, K 3"].matched) == (7, 3)
    assert ways["clip-vis-5: long-term"].momentum == 0.7
    assert ways["clip-vis-5: T 9, K 5"] == VideoSettings() and work.own_places == ()


def test_choosing_models():
    assert {w.model for w in plan(choose_tables([]), ["ov2seg-r50"])} == {"ov2seg-r50"}
    with pytest.raises(InputError, match="did you mean ov2seg-r50"):
        plan(choose_tables([]), ["ov2seg-r5"])
    with pytest.raises(InputError, match="choose other tables"):
        plan(choose_tables(["clip-vis-2"]), ["ov2seg-r50"])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stand-ins")
    write_stand_ins(folder, 1, 3)
    return folder


@pytest.mark.parametrize("entry", [e for e in entries() if not e.name.startswith("stickers")], ids=lambda e: e.name)
def test_stand_ins_are_whole_in_their_real_places(root, entry):
    read = open_dataset(entry.name, root)
    assert read.videos and (entry.truth == "server") == (not read.truths)
    assert all(path.is_file() for video in read.videos for path in read.paths(video))
    groups = {group for category in read.categories for group in category.groups}
    assert groups >= {"base", "novel"} or entry.vocabulary in ("ovis", "coco")
    if entry.vocabulary == "burst":
        assert groups >= {"common", "uncommon"}


def test_what_is_missing_is_said_with_its_remedy(root, tmp_path):
    works = plan(choose_tables(["clip-vis-1", "clip-vis-4"]))
    here = {(n.work.dataset, n.work.model): n for n in look_for(works, root, {"clip-vis-r50": "x.safetensors"})}
    one = here["lvvis_val", "clip-vis-r50"]
    assert one.ready and one.scored and not one.asks_server and one.frames == 3 and one.passes == 1
    assert "holds 1 videos here and 837 as published" in " ".join(unusual(one))
    assert here["ytvis_2019_val", "clip-vis-r50"].asks_server and here["ytvis_2019_val", "clip-vis-r50"].ready
    assert here["lvvis_val", "clip-vis-convnext-b"].weights_missing == "ovvis models fetch clip-vis-convnext-b"
    assert "iou_from=pixels" in here["lvvis_val", "iou-pixels"].weights_missing
    assert "ov2seg-swin-b-lvis" in here["lvvis_val", "ov2seg-swin-b"].weights_missing
    nothing = look_for(works, tmp_path, {})[0]
    assert not nothing.ready and "get it from https://github.com/haochenheheda/LVVIS" in nothing.data_missing


def test_a_missing_frame_is_no_small_thing(tmp_path):
    write_stand_ins(tmp_path, 1, 3)
    next((tmp_path / "lvvis" / "val" / "JPEGImages").rglob("*.jpg")).unlink()
    (need, *_) = look_for(plan(choose_tables(["clip-vis-2"])), tmp_path, {})
    assert "lacks 1 frames" in need.data_missing and not need.ready
