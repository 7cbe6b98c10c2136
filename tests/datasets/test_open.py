import json

import pytest

from ovvis.datasets.catalog import entries, entry
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.presence import look
from ovvis.errors import InputError
from ovvis.evaluation.rules import LVIS, LVVIS, YOUTUBE_VIS
from ovvis.vocabulary import Vocabulary, builtin_names


def youtube_vis(**category):
    return {
        "videos": [{"id": 1, "height": 2, "width": 3, "file_names": ["a/0.jpg"]}],
        "categories": [{"id": 1, "name": "Ape"} | category, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": id, "video_id": 1, "category_id": id, "segmentations": [{"size": [2, 3], "counts": "024"}]}
            for id in (1, 2)
        ],
    }


def written(path, root):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(root))
    return path


def test_the_catalogue_holds_what_the_papers_name():
    names = {e.name for e in entries()}
    assert names >= {f"lvvis_{s}" for s in ("train", "val", "test")} | {f"ovis_{s}" for s in ("train", "val", "test")}
    assert names >= {f"ytvis_{y}_{s}" for y in (2019, 2021) for s in ("train", "val", "test")}
    assert names >= {"burst_val", "burst_test", "lvis_v1_train", "lvis_v1_train_norare", "lvis_v1_val"}
    assert names >= {"coco_2017_train", "coco_2017_val"}
    for e in entries():
        assert e.vocabulary in builtin_names()
        assert (
            e.annotations and e.frames and e.page.startswith(("https://", "ovvis world")) and e.licence and e.videos > 0
        )
        assert not any(place.startswith("/") for place in (*e.annotations, *e.frames))


def test_a_name_that_is_not_there():
    with pytest.raises(InputError, match=r"'ytvis_2019_vla'.*did you mean ytvis_2019_val"):
        entry("ytvis_2019_vla")
    with pytest.raises(InputError, match="did you mean lvvis_val"):
        find_dataset("lvvis-val")


def test_where_a_dataset_is_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OVVIS_DATA", raising=False)
    assert str(find_dataset("lvvis_val").annotations) == "datasets/lvvis/val/val_instances_.json"
    monkeypatch.setenv("OVVIS_DATA", str(tmp_path / "data"))
    assert find_dataset("lvvis_val").frames == tmp_path / "data" / "lvvis" / "val" / "JPEGImages"
    assert find_dataset("lvvis_val", tmp_path).frames == tmp_path / "lvvis" / "val" / "JPEGImages"
    assert find_dataset("lvvis_val", tmp_path, "elsewhere").frames.name == "elsewhere"
    (tmp_path / "LVVIS" / "val" / "JPEGImages").mkdir(parents=True)  # OVFormer's name of the folder
    assert find_dataset("lvvis_val", tmp_path).frames == tmp_path / "LVVIS" / "val" / "JPEGImages"


def test_a_dataset_that_is_not_here_says_how_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"ovis/annotations/validGT\.json does not exist; get it from https"):
        open_dataset("ovis_val", tmp_path)


def test_base_and_novel_come_from_the_file_else_from_the_vocabulary(tmp_path):
    written(tmp_path / "ytvis2019" / "valid.json", youtube_vis())
    read = open_dataset("ytvis_2019_val", tmp_path)
    assert [(c.name, c.groups) for c in read.categories] == [("Ape", ("novel",)), ("dog", ("base",))]
    assert (read.name, read.rules) == ("ytvis_2019_val", YOUTUBE_VIS)
    written(tmp_path / "lvvis" / "val" / "val_instances_.json", youtube_vis(partition=1))
    read = open_dataset("lvvis_val", tmp_path)
    assert read.categories[0].groups == ("base",)
    assert read.rules is LVVIS


def test_a_catalogued_dataset_means_all_its_categories(tmp_path):
    root = youtube_vis(supercategory="dog")
    root["annotations"].pop()
    written(tmp_path / "ytvis2019" / "valid.json", root)
    assert [c.name for c in open_dataset("ytvis_2019_val", tmp_path).asked] == ["Ape", "dog"]
    assert [c.name for c in open_dataset(written(tmp_path / "own.json", root)).asked] == ["Ape"]


def test_the_open_vocabulary_training_split_drops_novel_annotations(tmp_path):
    written(tmp_path / "lvvis" / "train" / "train_instances_.json", youtube_vis(partition=2))
    whole, base = (open_dataset(name, tmp_path) for name in ("lvvis_train", "lvvis_train_base"))
    assert [truth.id for truth in whole.truths] == [1, 2]
    assert [truth.id for truth in base.truths] == [2]
    assert base.videos == whole.videos
    rare = {
        "images": [{"id": 1, "height": 2, "width": 3, "coco_url": "http://x/train2017/1.jpg"}],
        "categories": [{"id": 1, "name": "a", "frequency": "r"}, {"id": 2, "name": "b", "frequency": "c"}],
        "annotations": [{"id": id, "image_id": 1, "category_id": id} for id in (1, 2)],
    }
    written(tmp_path / "lvis" / "lvis_v1_train.json", rare)
    read = open_dataset("lvis_v1_train_norare", tmp_path)
    assert [truth.id for truth in read.truths] == [2]
    assert read.paths(read.videos[0]) == [tmp_path / "coco" / "train2017" / "1.jpg"]
    assert read.rules is LVIS


@pytest.mark.parametrize("folder", ["JPEGImages", "frames", "own", None])
def test_frames_of_an_own_dataset(tmp_path, folder):
    path = written(tmp_path / "own.json", youtube_vis())
    if folder:
        (tmp_path / folder).mkdir()
    assert open_dataset(path).frames == (tmp_path / folder if folder else tmp_path)
    assert open_dataset(str(path), frames=tmp_path / "x").frames == tmp_path / "x"


@pytest.mark.parametrize(
    ("name", "words"),
    [("none.json", "does not exist"), ("a/b", "does not exist"), (".", "is a folder: give its JSON")],
)
def test_an_own_dataset_that_is_not_there(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        find_dataset(name)


def test_a_json_that_is_no_dataset(tmp_path):
    with pytest.raises(InputError, match="must hold a list of videos"):
        open_dataset(written(tmp_path / "a.json", {"info": 1}))
    with pytest.raises(InputError, match="must be an object, not a list"):
        open_dataset(written(tmp_path / "a.json", []))


def test_what_is_here(tmp_path):
    written(tmp_path / "coco" / "annotations" / "instances_val2017.json", {})
    for i in range(3):
        written(tmp_path / "coco" / "val2017" / f"{i}.jpg", {})
        (tmp_path / "ovis" / "valid" / str(i)).mkdir(parents=True)
    states = {presence.entry.name: presence.state for presence in look(tmp_path)}
    assert states["coco_2017_val"] == "3 of 5,000"
    assert states["ovis_val"] == "no annotations"
    assert states["lvvis_val"] == "not here"
    for i in range(3, 5000):
        (tmp_path / "coco" / "val2017" / f"{i}.jpg").touch()
    states = {presence.entry.name: presence.state for presence in look(tmp_path)}
    assert states["coco_2017_val"] == "complete"
    written(tmp_path / "lvis" / "lvis_v1_val.json", {})
    states = {presence.entry.name: presence.state for presence in look(tmp_path)}
    assert states["lvis_v1_val"] == "5,000 of 19,809"


def test_the_vocabularies_splits_are_those_of_the_papers():
    novel = {name: sum(label.split == "novel" for label in Vocabulary.builtin(name)) for name in builtin_names()}
    assert {name: count for name, count in novel.items() if count} == {
        "burst": novel["burst"],
        "lvis_v1": 337,
        "lvvis": 555,
        "stickers": novel["stickers"],
        "ytvis_2019": 7,
        "ytvis_2021": 6,
    }
