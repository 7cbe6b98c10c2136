import json

import numpy as np
import pytest
import torch

from command import call
from ovvis import masks
from ovvis.datasets import catalog
from ovvis.datasets.check import check
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.stickers import SPLITS, split_of, split_video, write_split
from ovvis.errors import InputError
from ovvis.sources.frames import read_image
from ovvis.training.data.dataset import TrainingSet
from ovvis.training.data.live_scenes import live_part
from ovvis.training.data.loader import LoaderConfig, WindowLoader
from ovvis.training.data.sampling import Draw, SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from ovvis.world.sprites import sprites_path
from ovvis.world.video import Videos
from tiny_world import tiny_sprites

AS_IT_IS = AugmentConfig("short_edge", short_edges=(160,), flip=0.0)


def test_live_windows_are_what_the_world_makes():
    sprites = tiny_sprites()
    data = TrainingSet([live_part(augment=AS_IT_IS, sprites=sprites)], SamplingConfig(3), seed=5)
    assert data.labels == ("disc", "square", "ring", "cross")  # base alone
    window = data[Draw(9, 0, 4)]
    again = data[Draw(9, 0, 700)]  # the place in the sequence is the seed, not the video of the epoch
    assert torch.equal(window.pixels, again.pixels) and torch.equal(window.target.masks, again.target.masks)
    assert not torch.equal(window.pixels, data[Draw(10, 0, 4)].pixels)
    assert window.pixels.shape == (3, 3, 160, 240) and window.origin.dataset == "stickers_live"
    video = Videos(sprites, SPLITS["train"].config).video(11, 5, 9)
    for t, file in enumerate(window.origin.files):
        frame = video.frame(int(file.split()[1]))
        assert (window.pixels[t].permute(1, 2, 0).numpy() == frame.image).all()
        for n, id in enumerate(window.target.ids.tolist()):
            assert (window.target.masks[n, t].numpy() == frame.mask(id)).all()
            name = sprites.categories[video.objects[id].category].name
            assert data.labels[window.target.labels[n]] == name


def test_fuller_scenes_show_base_categories_alone():
    data = TrainingSet([live_part("stickers_live_crossing", AS_IT_IS, sprites=tiny_sprites())], seed=1)
    assert data.labels == ("disc", "square", "ring", "cross")
    counts = [len(data[Draw(i, 0, 0)].target.ids) for i in range(20)]
    assert max(counts) > 8 and sum(counts) > 100  # `stickers_live` has eight at most, and five on average


def test_live_batches():
    data = TrainingSet([live_part(augment=AS_IT_IS, sprites=tiny_sprites())], seed=1)
    batch = next(WindowLoader(data, 2, LoaderConfig(0)).batches())
    assert batch.pixels.shape == (2, 1, 3, 160, 256) and len(batch.targets) == 2
    assert data.weights is None and len(data) == 1000 and data.left_out == {"stickers_live": ()}
    assert data.fingerprints[0].startswith("stickers_live, sprites ") and "frames=24" in data.fingerprints[0]


def test_a_written_split_is_whole(tmp_path):
    sprites, told = tiny_sprites(), []
    home = write_split(SPLITS["val"], sprites, tmp_path, 2, lambda *done: told.append(done))
    assert told[-1] == (48, 48) and home == tmp_path / "stickers" / "val"
    report = check(find_dataset("stickers_val", tmp_path))
    assert report.sound and (len(report.annotations.videos), report.frames) == (2, 48)
    known = open_dataset("stickers_val", tmp_path)
    assert [c.groups[0] for c in known.categories] == [c.split for c in sprites.categories]
    made = split_video(SPLITS["val"], Videos(sprites, SPLITS["val"].config), 1)
    frame = made.frame(5)
    truths = known.truths_of(known.videos[1])
    seen = [truth.masks[5] for truth in truths]
    assert sum(masks.area(rle) for rle in seen if rle) == int((frame.owner > 0).sum())
    image = read_image(known.paths(known.videos[1])[5])
    assert np.abs(image.astype(int) - frame.image).mean() < 4  # JPEG
    assert [path.name for path in (tmp_path / "stickers").iterdir()] == ["val"]
    with pytest.raises(InputError, match=r"is there already.*--overwrite"):
        write_split(SPLITS["val"], sprites, tmp_path, 1)


def test_a_split_is_written_by_one_at_a_time_and_replaced_when_asked(tmp_path):
    sprites, split, meanwhile = tiny_sprites(), SPLITS["val"], []

    def another(done, total):
        if not meanwhile:
            with pytest.raises(InputError, match="another process is writing") as caught:
                write_split(split, sprites, tmp_path, 1)
            meanwhile.append(caught.value)

    home = write_split(split, sprites, tmp_path, 1, another)
    assert meanwhile and len(list((home / "JPEGImages").iterdir())) == 1
    (home / "mark").touch()
    write_split(split, sprites, tmp_path, 2, overwrite=True)
    assert sorted(path.name for path in home.iterdir()) == ["JPEGImages", "val_instances.json"]
    assert len(list((home / "JPEGImages").iterdir())) == 2
    assert [path.name for path in home.parent.iterdir()] == ["val"]


def test_nothing_is_left_of_a_write_that_failed(tmp_path):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_split(SPLITS["train"], tiny_sprites(), tmp_path, 1, stop)
    assert list(tmp_path.iterdir()) == []


def test_splits():
    assert split_of("val_hard") is SPLITS["val-hard"]
    assert SPLITS["val-long"].config.frames >= 100
    with pytest.raises(InputError, match=r"'vla'.*did you mean val"):
        split_of("vla")
    sprites = tiny_sprites()
    for split in SPLITS.values():  # a split shows every category that it may
        videos = Videos(sprites, split.config)
        shown = {thing.category for n in range(6) for thing in split_video(split, videos, n).objects}
        assert shown == set(videos.categories), split.name


def test_the_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path / "cache"))
    assert call(monkeypatch, "world", "write", "val", tmp_path / "data") == 2
    assert "make them with ovvis world build" in capsys.readouterr().err
    sprites_path().parent.mkdir(parents=True)
    tiny_sprites().save(sprites_path())
    assert call(monkeypatch, "world", "build") == 0
    assert "12 sprites of 6 categories (4 base); nothing to do" in capsys.readouterr().out.replace("\n", " ")
    assert call(monkeypatch, "world", "write", "train", tmp_path / "data", "--videos", 1) == 0
    assert call(monkeypatch, "datasets", "check", "stickers_train", "--data-root", tmp_path / "data") == 0
    written = json.loads((tmp_path / "data/stickers/train/train_instances.json").read_text())
    assert {category["partition"] for category in written["categories"]} == {0}


def test_the_catalogue_counts_the_videos():
    for split in SPLITS.values():
        assert catalog.entry(f"stickers_{split.name.replace('-', '_')}").videos == split.videos
