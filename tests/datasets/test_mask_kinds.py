"""Folders of masks as strangers have them: each right, counted, or refused with a reason."""

import random
import shutil
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from mutations import TRIES, damaged
from ovvis import masks
from ovvis.datasets.mask_folder import MaskFolder, convert_masks
from ovvis.datasets.mask_image import voc_palette
from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError

SIZE = (40, 48)
COLOURS = [(0, 0, 0), (200, 30, 30), (30, 200, 30), (250, 240, 20)]


def scene(values, size=SIZE):
    """Return an image (H, W) with a square of 10 pixels for each value."""
    out = np.zeros(size, np.int64)
    for k, value in enumerate(values):
        row, column = divmod(k, 4)
        out[2 + 12 * row : 12 + 12 * row, 2 + 11 * column : 12 + 11 * column] = value
    return out


def picture(values, kind="L", palette=None):
    array = np.asarray(values)
    if kind == "RGB":
        return Image.fromarray(array.astype(np.uint8))
    image = Image.fromarray(array.astype({"I;16": np.uint16, "I": np.int32}.get(kind, np.uint8)))
    if kind == "P":
        image.putpalette(palette if palette is not None else [c for rgb in COLOURS for c in rgb])
    return image


def smooth(values, factor=3):
    """Return an image made smaller with smoothed edges."""
    big = Image.fromarray(np.kron(values, np.ones((factor, factor))).astype(np.uint8))
    return np.asarray(big.resize((values.shape[1], values.shape[0]), Image.Resampling.LANCZOS))


def folder(home, images, frame=SIZE, ending="png", frames=None):
    """Write a sequence "clip": a frame for each name of `frames`, and images by their places below its masks."""
    for name in frames or [place.split("/")[-1] for place in images]:
        (home / "frames" / "clip").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", frame[::-1]).save(home / "frames" / "clip" / f"{name}.jpg")
    for place, image in images.items():
        path = home / "masks" / "clip" / f"{place}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        (image if isinstance(image, Image.Image) else picture(image)).save(path)
    return home


def converted(home, **options):
    done = convert_masks(MaskFolder.find(home), home / "own.json", **options)
    return done, open_dataset(home / "own.json")


def areas(home, **options):
    """Return the areas of each instance, the instances in order, and what was said."""
    done, read = converted(home, **options)
    return [list(truth.areas) for truth in read.truths], done.warnings


@pytest.mark.parametrize(
    ("values", "kind", "void", "kept", "said"),
    [
        ([1, 255], "L", None, 1, "255 is taken for void in 1 masks"),
        ([1, 5, 30, 255], "P", None, 3, "255 is taken for void"),
        ([1, 255], "L", 0, 2, None),
        ([1, 255], "L", 1, 1, None),
        ([255], "L", None, 1, None),
        ([128, 255], "L", None, 2, None),
        ([127, 255], "L", None, 2, None),
        ([85, 170, 255], "L", None, 3, None),
        ([63, 127, 191, 255], "L", None, 4, None),
        ([1, 255], "I;16", None, 2, None),  # in 16 bits 255 is an id as any other
        ([254, 255, 256], "I;16", None, 3, None),
        ([1, 65535], "I;16", None, 1, "65535 is taken for void"),
        ([65535], "I;16", None, 1, None),
        (list(range(1, 10)), "L", None, 9, None),
    ],
)
def test_void(tmp_path, values, kind, void, kept, said):
    home = folder(tmp_path, {"0": picture(scene(values), kind, [c % 256 for c in range(768)] if kind == "P" else None)})
    found, warnings = areas(home, void=void)
    assert found == [[100]] * kept
    assert [w for w in warnings if said is None or said not in w] == []
    assert bool(warnings) == (said is not None)


def test_void_is_one_choice_for_all_sequences(tmp_path):
    folder(tmp_path, {"0": scene([1, 2, 255])})
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "frames" / "1.jpg")
    picture(scene([255])).save(tmp_path / "masks" / "1.png")
    found, warnings = areas(tmp_path)
    assert found == [[100], [100]]
    assert "255 is taken for void in 2 masks; --void 0 makes it an instance" in warnings


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_ids(tmp_path, bits):
    """Pillow stretches grey of 2 and 4 bits to 255: the last id is none the less no void."""
    ids = [1, 2, 3][: 2**bits - 1]
    palette = picture(scene(ids), "P")
    home = folder(tmp_path, {"0": palette})
    path = home / "masks" / "clip" / "0.png"
    palette.save(path, bits=bits)
    found, warnings = areas(home, names={str(id): f"n{id}" for id in ids})
    assert (found, warnings) == ([[100]] * len(ids), [])


def grey_png(values, bits):
    """Return a grey PNG of few bits, which Pillow reads and does not write."""
    rows = b"".join(b"\0" + np.packbits(np.unpackbits(row[:, None], axis=1)[:, -bits:]).tobytes() for row in values)

    def chunk(kind, data):
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    header = values.shape[1].to_bytes(4) + values.shape[0].to_bytes(4) + bytes([bits, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits(tmp_path, bits):
    ids = list(range(1, min(2**bits, 9))) + ([15] if bits == 4 else [])
    home = folder(tmp_path, {"0": scene([])})
    (home / "masks" / "clip" / "0.png").write_bytes(grey_png(scene(ids).astype(np.uint8), bits))
    done, read = converted(home, names={str(id): f"n{id}" for id in ids})
    assert [c.name for c in read.categories] == [f"n{id}" for id in ids]
    assert done.warnings == []


@pytest.mark.parametrize("what", ["smoothed", "blurred", "jpeg", "jpeg as png", "two", "grey rgb"])
def test_soft_edges_of_one_object_are_split(tmp_path, what):
    values = scene([255, 255] if what == "two" else [255])
    image = picture(values)
    if what in ("smoothed", "two", "grey rgb"):
        image = picture(smooth(np.roll(np.kron(values, np.ones((3, 3))), 1)[::3, ::3]))
        disc = Image.new("L", (480, 400))
        ImageDraw.Draw(disc).ellipse([100, 80, 300, 280], fill=255)
        image = disc.resize(SIZE[::-1], Image.Resampling.LANCZOS)
    if what == "grey rgb":
        image = image.convert("RGB")
    if what == "blurred":
        image = image.filter(ImageFilter.GaussianBlur(1.5))
    ending = "jpg" if what == "jpeg" else "png"
    if what == "jpeg as png":
        image.save(tmp_path / "x.jpg", quality=60)
        image = Image.open(tmp_path / "x.jpg")
    home = folder(tmp_path, {str(i): image for i in range(3)}, ending=ending)
    ((*seen,),), warnings = areas(home)
    truth = 100 if what in ("blurred", "jpeg", "jpeg as png") else 314
    assert len(seen) == 3 and all(abs(area - truth) <= 12 for area in seen)
    assert len(warnings) == 1 and "soft edges" in warnings[0] and "pixels" in warnings[0]


def test_soft_edges_of_several_objects_are_refused(tmp_path):
    disc = Image.new("L", (480, 400))
    ImageDraw.Draw(disc).ellipse([10, 80, 200, 280], fill=60)
    ImageDraw.Draw(disc).ellipse([250, 80, 450, 280], fill=200)
    home = folder(tmp_path, {"0": disc.resize(SIZE[::-1], Image.Resampling.BILINEAR)})
    with pytest.raises(InputError, match="objects 60, 200 are smoothed"):
        converted(home)
    assert len(areas(home, encoding="ids", void=0)[0]) > 5  # each value as it is, if somebody insists
    home = folder(tmp_path / "jpeg", {"0": scene([60, 200])}, ending="jpg")
    with pytest.raises(InputError, match=r"several shades are smoothed \(they are JPEGs\)"):
        converted(home)


def test_thin_and_small_objects_are_objects(tmp_path):
    values = np.zeros(SIZE, np.int64)
    for k in range(12):  # specks of 2 x 2, and lines of one pixel
        values[3 * k : 3 * k + 2, 5:7] = k + 1
        values[3 * k + 1, 20:40] = k + 13
    found, warnings = areas(folder(tmp_path, {"0": values}))
    assert found == [[4]] * 12 + [[20]] * 12
    assert warnings == []


def test_one_thin_value_round_another_is_told(tmp_path):
    values = scene([255])
    values[1, 2:12] = values[12, 2:12] = 128  # what coarse smoothing leaves
    values[2:12, 1] = values[2:12, 12] = 128
    found, warnings = areas(folder(tmp_path, {"0": values}))
    assert found == [[40], [100]]
    assert warnings == ["clip: 128 only lies in thin lines between other values: was the mask smoothed or resized?"]


@pytest.mark.parametrize("frame", [(20, 24), (80, 96), (48, 40)])
def test_masks_of_another_size_than_the_frame(tmp_path, frame):
    with pytest.raises(InputError, match=rf"0\.png is 40 x 48 where its frame is {frame[0]} x {frame[1]}"):
        converted(folder(tmp_path, {"0": scene([1])}, frame=frame))


LAYOUTS = {
    "a folder for each object": {"1/0": scene([255]), "1/1": scene([255]), "2/1": scene([0, 255])},
    "named folders": {"dog/0": scene([1]), "dog/1": scene([1]), "frisbee/1": scene([0, 2])},
    "an object behind the frame": {"0_1": scene([255]), "1_1": scene([255]), "1_2": scene([0, 255])},
    "an object's name": {"0_dog": scene([255]), "1_dog": scene([255]), "1_frisbee": scene([0, 255])},
    "an object before the frame": {"dog_0": scene([255]), "dog_1": scene([255]), "cat-1": scene([0, 255])},
    "an ending that all have": {"0_mask": scene([1]), "1_mask": scene([1, 2])},
    "all in one": {"0": scene([1]), "1": scene([1, 2])},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tmp_path, layout):
    home = folder(tmp_path, LAYOUTS[layout], frames=["0", "1", "2"])
    found, warnings = areas(home)
    assert sorted(found, key=str) == [[100, 100], [None, 100]]
    assert warnings == ["clip: 1 frames have no mask and are left out"]


def test_objects_that_overlap_and_their_names(tmp_path):
    home = folder(tmp_path, {"dog/0": scene([255]), "ball/0": scene([255])}, frames=["0"])
    _, read = converted(home, names={"dog": "Dog", "ball": "Ball"})
    assert [category.name for category in read.categories] == ["Ball", "Dog"]
    assert [truth.areas for truth in read.truths] == [[100], [100]]
    with pytest.raises(InputError, match="no name for id dog of sequence clip"):
        converted(home, names={"ball": "Ball"})


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ({"a/0": scene([1, 2]), "b/0": scene([1])}, "hold 1, 2 where each is one object's"),
        ({"0": scene([1]), "0_dog": scene([1])}, "name all masks one way"),
        ({"0": scene([1]), "dog/0": scene([1])}, "keep one kind of masks"),
        ({"7": scene([1])}, "must have a frame of the same name"),
        ({"dog/7": scene([1])}, "must have a frame of the same name"),
    ],
)
def test_layouts_refused(tmp_path, images, said):
    with pytest.raises(InputError, match=said):
        converted(folder(tmp_path, images, frames=["0", "1"]))


def colours(values, table=COLOURS):
    return picture(np.array(table, np.uint8)[values], "RGB")


VOC_RGB = [(rgb >> 16, rgb >> 8 & 255, rgb & 255) for rgb in sorted(voc_palette(), key=voc_palette().get)]


def test_a_colour_is_an_instance(tmp_path):
    home = folder(tmp_path, {"0": colours(scene([1, 2])), "1": colours(scene([0, 2, 3])), "2": colours(scene([]))})
    found, warnings = areas(home)
    assert sorted(found, key=str) == [[100, 100, None], [100, None, None], [None, 100, None]]
    assert warnings == []
    _, read = converted(home, names={"200,30,30": "dog", "30,200,30": "cat", "250,240,20": "ball"})
    assert [category.name for category in read.categories] == ["cat", "dog", "ball"]
    white = folder(tmp_path / "white", {"0": colours(scene([1, 2]), [(0, 0, 0), (255, 0, 0), (255, 255, 255)])})
    assert areas(white) == ([[100], [100]], [])
    blue = folder(tmp_path / "blue", {"0": colours(scene([1, 2]), [(0, 0, 0), (0, 0, 255), (0, 0, 250)])})
    assert areas(blue) == ([[100], [100]], [])  # packed, pure blue is 255 and no void


def test_the_palette_of_davis_as_rgb(tmp_path):
    assert VOC_RGB[1:4] == [(128, 0, 0), (0, 128, 0), (128, 128, 0)] and VOC_RGB[255] == (224, 224, 192)
    home = folder(tmp_path, {"0": colours(scene([1, 9, 255]), VOC_RGB)})
    done, read = converted(home, names={"1": "dog", "9": "cat"})
    assert [category.name for category in read.categories] == ["dog", "cat"]
    assert done.warnings == ["255 is taken for void in 1 masks; --void 0 makes it an instance"]


def test_transparent_is_background(tmp_path):
    image = colours(scene([1, 2])).convert("RGBA")
    pixels = np.array(image)
    pixels[pixels[..., :3].sum(-1) == 0] = (90, 90, 90, 0)
    assert areas(folder(tmp_path, {"0": Image.fromarray(pixels)})) == ([[100], [100]], [])
    pixels[0, 0] = (9, 9, 9, 100)
    with pytest.raises(InputError, match="partly transparent"):
        converted(folder(tmp_path, {"0": Image.fromarray(pixels)}))


def test_palettes_that_disagree_are_read_as_colours(tmp_path):
    """A picture program sorts each file's palette anew: the index is no identity."""
    one, other = COLOURS[:3], [COLOURS[0], COLOURS[2], COLOURS[1]]
    flat = [[c for rgb in table for c in rgb] for table in (one, other)]
    home = folder(tmp_path, {"0": picture(scene([1, 2]), "P", flat[0]), "1": picture(scene([2, 0]), "P", flat[1])})
    found, _ = areas(home)
    assert sorted(found, key=str) == [[100, 100], [100, None]]
    first = folder(tmp_path / "black", {"0": picture(1 - scene([1]), "P", [255, 0, 0, 0, 0, 0])})
    assert areas(first) == ([[100]], [])  # index 1 is black
    same = folder(
        tmp_path / "same", {"0": picture(scene([1, 2]), "P", [0] * 9), "1": picture(scene([1]), "P", flat[0])}
    )
    with pytest.raises(InputError, match="two of its indices in one colour"):
        converted(same)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (colours(scene([1]) + 1, [(0, 0, 0), (255, 0, 0), (0, 255, 0)]), "no black, which is the background"),
        (colours(scene([1, 2])).filter(ImageFilter.GaussianBlur(1.5)), "many of which only lie along edges"),
        (colours(scene([1, 2]), [(0, 0, 0), (11, 0, 0), (11, 0, 3)]), "almost black"),
        (picture(np.arange(40 * 48).reshape(40, 48), "I;16"), "1,920 values"),
        (picture(np.random.default_rng(0).integers(0, 256, SIZE)), "pictures or measurements"),
        (picture(np.linspace(0, 255, 40 * 48).reshape(SIZE)), "pictures or measurements|smoothed"),
    ],
)
def test_no_ids(tmp_path, image, said):
    with pytest.raises(InputError, match=said):
        converted(folder(tmp_path, {"0": image}))


def test_kitti_step(tmp_path):
    """A class in red, an instance in green and blue; 0 has no instance, class 255 is void."""
    table = [(0, 0, 0), (7, 0, 0), (11, 0, 2), (13, 1, 2), (255, 0, 0)]
    home = folder(tmp_path, {"0": colours(scene([1, 2, 3, 4]), table)})
    done, read = converted(home, encoding="step", names={"11": "person", "13": "car"})
    assert [category.name for category in read.categories] == ["person", "car"]
    assert done.warnings == ["2 regions without instances or void, in 2 masks, left out"]


def test_class_and_instance_in_one_number(tmp_path):
    home = folder(tmp_path, {"0": picture(scene([1000, 1001, 2003, 10000]), "I;16")})
    done, read = converted(home, names={"1": "car", "2": "person"})
    assert [category.name for category in read.categories] == ["car", "person"] and len(read.truths) == 3
    assert done.warnings == [
        "values are read as class * 1000 + instance; --encoding ids makes them plain ids",
        "1 region without instances or void, in 1 masks, left out",
    ]
    assert len(areas(home, encoding="ids")[0]) == 4
    cityscapes = folder(tmp_path / "city", {"0": picture(scene([7, 23, 26000, 26001]), "I;16")})
    with pytest.raises(InputError, match=r"26000 .* 7, 23, which may be regions .* --encoding class-id"):
        converted(cityscapes)
    assert areas(cityscapes, encoding="class-id") == (
        [[100], [100]],
        ["2 regions without instances or void, in 2 masks, left out"],
    )
    counted = folder(tmp_path / "cells", {"0": picture(scene(range(996, 1008)), "I;16")})
    with pytest.raises(InputError, match="say --encoding"):
        converted(counted)
    assert len(areas(counted, encoding="ids")[0]) == 12
    with pytest.raises(InputError, match="encoding 'id'"):
        converted(counted, encoding="id")


def test_what_is_passed_over_is_said(tmp_path):
    home = folder(tmp_path, {"0": scene([1])})
    Image.new("RGB", (9, 9)).save(home / "masks" / "clip" / "view.jpg")
    (home / "masks" / "clip" / "._0.png").write_bytes(b"Mac")
    (home / "masks" / "__MACOSX").mkdir()
    picture(scene([1])).save(home / "masks" / "__MACOSX" / "0.png")
    shutil.copytree(home / "frames" / "clip", home / "frames" / "other")
    found, warnings = areas(home)
    assert found == [[100]]
    assert [warning.removeprefix(str(home)) for warning in warnings] == [
        "/masks/clip: 1 images beside its PNG masks are left out (first: view.jpg)",
        "1 folder of frames has no masks and are left out (first: other)",
    ]
    shutil.copy(home / "frames" / "clip" / "0.jpg", home / "frames" / "clip" / "0.jpeg")
    with pytest.raises(InputError, match="two frames of one name"):
        converted(home)
    pages = folder(tmp_path / "pages", {"0": scene([1])})
    path = pages / "masks" / "clip" / "0.tiff"
    picture(scene([1])).save(path, save_all=True, append_images=[picture(scene([2]))])
    path.with_suffix(".png").unlink()
    with pytest.raises(InputError, match="holds 2 pictures"):
        converted(pages)


def test_a_mask_is_as_its_codes_say(tmp_path):
    values = scene([3, 7])
    _, read = converted(folder(tmp_path, {"0": values}))
    for truth, id in zip(read.truths, (3, 7), strict=True):
        assert (masks.decode(truth.masks[0]) == (values == id)).all()


def test_damaged_masks(tmp_path):
    """What bad copies make of masks: an instance that is there, or one line."""
    dice = random.Random(5)
    kinds = {
        "png": [
            picture(scene([1, 2])),
            picture(scene([1, 2]), "P"),
            picture(scene([1, 300]), "I;16"),
            colours(scene([1])),
        ],
        "tiff": [picture(scene([1, 2])), picture(scene([1, 300]), "I;16")],
        "bmp": [picture(scene([1, 2]))],
        "webp": [colours(scene([1, 2]))],
    }
    for _ in range(TRIES // 3):
        ending = dice.choice(list(kinds))
        home = folder(tmp_path / "home", {"0": dice.choice(kinds[ending])}, ending=ending)
        path = home / "masks" / "clip" / f"0.{ending}"
        path.write_bytes(damaged(path.read_bytes(), dice))
        try:
            done, _ = converted(home)
        except InputError as error:
            assert "\n" not in str(error)
        else:
            assert done.frames == 1
        shutil.rmtree(home)
