import json

import numpy as np
import pytest
from PIL import Image

from ovvis import masks
from ovvis.datasets.check import check
from ovvis.datasets.mask_folder import MaskFolder, convert_masks, read_names
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.errors import InputError

VALUES = [[0, 1, 1], [2, 2, 255]]


def save(path, values, mode="P"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.array(values, dtype=np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette([i % 256 for i in range(768)])
    image.save(path)


def sequence(home, name="dog", frames=2, values=VALUES, mode="P"):
    for i in range(frames):
        save(home / "JPEGImages" / name / f"{i}.jpg", np.zeros((2, 3, 3)), "RGB")
        save(home / "Annotations" / name / f"{i}.png", values, mode)
    return home


def converted(home, **options):
    done = convert_masks(MaskFolder.find(home), home / "own.json", **options)
    return done, open_dataset(home / "own.json")


VOID_TOLD = "255 is taken for void in 2 masks; --void 0 makes it an instance"


@pytest.mark.parametrize("mode", ["P", "L"])
def test_each_value_is_an_instance_and_255_is_void(tmp_path, mode):
    done, read = converted(sequence(tmp_path, mode=mode))
    assert (done.videos, done.frames, done.tracks, done.warnings) == (1, 2, 2, [VOID_TOLD])
    assert [c.name for c in read.categories] == ["object"]
    (video,) = read.videos
    assert (video.height, video.width, video.files) == (2, 3, ("dog/0.jpg", "dog/1.jpg"))
    found = [[masks.decode(mask).astype(int).tolist() for mask in truth.masks] for truth in read.truths]
    assert found == [[[[0, 1, 1], [0, 0, 0]]] * 2, [[[0, 0, 0], [1, 1, 0]]] * 2]
    assert [truth.areas for truth in read.truths] == [[2, 2], [2, 2]]
    assert check(find_dataset(tmp_path / "own.json", frames=tmp_path / "JPEGImages")).sound


def test_the_only_value_is_the_instance_even_if_it_is_255(tmp_path):
    _, read = converted(sequence(tmp_path, values=[[0, 255, 255], [0, 0, 0]], mode="L"))
    assert [truth.areas for truth in read.truths] == [[2, 2]]
    done, read = converted(tmp_path, void=255)
    assert read.truths == ()
    assert done.warnings == ["dog: its masks are all background"]


def test_another_void(tmp_path):
    _, read = converted(sequence(tmp_path), void=1)
    assert [truth.areas for truth in read.truths] == [[2, 2], [1, 1]]


def test_an_instance_that_comes_and_goes(tmp_path):
    sequence(tmp_path, frames=3, values=[[0, 0, 0], [0, 7, 0]])
    save(tmp_path / "Annotations" / "dog" / "1.png", [[0, 0, 0], [0, 0, 0]])
    _, read = converted(tmp_path)
    assert [mask is not None for mask in read.truths[0].masks] == [True, False, True]


def test_frames_are_in_natural_order_and_those_without_a_mask_left_out(tmp_path):
    sequence(tmp_path, frames=11)
    (tmp_path / "Annotations" / "dog" / "3.png").unlink()
    done, read = converted(tmp_path)
    assert [file.removeprefix("dog/") for file in read.videos[0].files] == [f"{i}.jpg" for i in range(11) if i != 3]
    assert done.warnings[1:] == ["dog: 1 frames have no mask and are left out"]


def test_many_sequences_deep_folders_or_none(tmp_path):
    sequence(sequence(tmp_path / "many", "480p/dog"), "480p/cat", frames=1)
    _, read = converted(tmp_path / "many")
    assert [video.name for video in read.videos] == ["480p/cat", "480p/dog"]
    _, read = converted(sequence(tmp_path / "one", "."))
    assert read.videos[0].files == ("0.jpg", "1.jpg")


def test_names(tmp_path):
    sequence(sequence(tmp_path, "480p/dog"), "cat")
    path = tmp_path / "names.json"
    path.write_text('{"1": "dog", "2": "frisbee"}')
    _, read = converted(tmp_path, names=read_names(path))
    assert [c.name for c in read.categories] == ["dog", "frisbee"]
    assert [t.category_id for t in read.truths] == [1, 2, 1, 2]
    path.write_text('{"dog": {"1": "dog", "2": "ball"}, "cat": {"1": "cat", "2": "ball"}}')
    _, read = converted(tmp_path, names=read_names(path))
    assert [c.name for c in read.categories] == ["dog", "ball", "cat"]
    path.write_text('{"1": "dog"}')
    with pytest.raises(InputError, match="no name for id 2 of sequence 480p/dog"):
        converted(tmp_path, names=read_names(path))
    path.write_text("[1]")
    with pytest.raises(InputError, match=r"names\.json must be an object"):
        read_names(path)


def test_chosen_folders(tmp_path):
    sequence(tmp_path)
    (tmp_path / "JPEGImages").rename(tmp_path / "pictures")
    (tmp_path / "Annotations").rename(tmp_path / "ids")
    with pytest.raises(InputError, match=r"must hold a folder of frames .* name it with --frames"):
        MaskFolder.find(tmp_path)
    source = MaskFolder.find(tmp_path, tmp_path / "pictures", tmp_path / "ids")
    assert source.sequences == ("dog",)


def broken(tmp_path, what):
    sequence(tmp_path)
    mask = tmp_path / "Annotations" / "dog" / "1.png"
    match what:
        case "fractions":
            Image.fromarray(np.zeros((2, 3), np.float32)).save(mask.with_suffix(".tiff"))
            for path in mask.parent.glob("*.png"):
                path.unlink()
        case "size":
            save(mask, [[0, 1]])
        case "damage":
            mask.write_bytes(mask.read_bytes()[:40])
        case "frame":
            (tmp_path / "JPEGImages" / "dog" / "1.jpg").unlink()
        case "masks":
            for path in (tmp_path / "Annotations" / "dog").iterdir():
                path.unlink()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("fractions", "1.tiff must be a palette, grey or RGB image of whole numbers, and is F"),
        ("size", "1.png is 1 x 2 where the first of its sequence is 2 x 3"),
        ("damage", "1.png could not be read"),
        ("frame", "1.png must have a frame of the same name"),
        ("masks", "must hold masks as images, and holds none"),
    ],
)
def test_broken_folders(tmp_path, what, words):
    broken(tmp_path, what)
    with pytest.raises(InputError) as caught:
        converted(tmp_path)
    assert words in str(caught.value)
    assert not (tmp_path / "own.json").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_file_is_replaced_whole(tmp_path):
    sequence(tmp_path)
    (tmp_path / "own.json").write_text("old")
    converted(tmp_path)
    assert set(json.loads((tmp_path / "own.json").read_text())) == {"info", "videos", "categories", "annotations"}
    with pytest.raises(InputError, match="does not exist: make the folder"):
        convert_masks(MaskFolder.find(tmp_path), tmp_path / "none" / "own.json")
