"""Files that `ovvis models export` writes: equal to PyTorch on whole videos; whatever is no such file is refused."""

import re
import shutil

import msgspec
import numpy as np
import pytest
import torch
from timm.models import register_model
from timm.models.swin_transformer import SwinTransformer

from fakes import build_tiny, build_tiny_fc_clip, build_tiny_ov_dvis, build_tiny_ovformer
from ovvis.errors import InputError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.masks import decode
from ovvis.models.export.carried import read_carried
from ovvis.models.export.exported import ExportedModel
from ovvis.models.export.graph import Graph
from ovvis.models.export.header import KEY, Header, Sizes, signed
from ovvis.models.export.session import Session, furthest
from ovvis.models.export.write import export_model
from ovvis.models.load import load_model
from ovvis.structures import TextEmbeddings

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

LABELS = "dog, cat|kitten|puss, a car"
SIZE = (64, 96)
FAMILIES = {
    "clip-vis": lambda: build_tiny("tiny-convnext"),
    "ovformer": build_tiny_ovformer,
    "ov2seg": lambda: build_tiny_ovformer(alignment="none", window=1),
    "fc-clip": lambda: build_tiny_fc_clip("tiny-convnext"),
    "ov-dvis": build_tiny_ov_dvis,
    "ov-dvis, offline": lambda: build_tiny_ov_dvis("tiny-convnext", refined=True),
}
# What PyTorch's exporter does to its own parts.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


def ready(model):
    return model.for_inference(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def any_size(tmp_path_factory, _tiny_clips):
    """Return a model, and its file for frames of any size, with the text tower in it."""
    model = ready(build_tiny())
    path = tmp_path_factory.mktemp("any") / "tiny.onnx"
    export_model(model, path, text_tower=True, licence="made by hand")
    return model, path


@pytest.fixture(scope="module")
def fixed(tmp_path_factory, _tiny_clips):
    """Return a model, and its file for frames of one size, without a text tower."""
    model = ready(build_tiny())
    path = tmp_path_factory.mktemp("fixed") / "tiny.onnx"
    export_model(model, path, size=SIZE)
    return model, path


def frames(count=5, height=64, width=96):
    """Return something to see: bright squares on noise, in other places each time."""
    random = np.random.default_rng(0)
    shown = random.integers(0, 80, (count, height, width, 3), dtype=np.uint8)
    for i, image in enumerate(shown):
        image[8 + 2 * i : 30 + 2 * i, 10 + 4 * i : 40 + 4 * i] = (220, 40, 30)
        image[34:60, 90 - 5 * i - 30 : 90 - 5 * i] = (20, 200, 240)
    return list(shown)


def segment(model, images, labels=LABELS, **options):
    options = {"prompts": ["a {}."], "cache": False, "short_edge": min(images[0].shape[:2])} | options
    return VideoSegmenter(model, labels, **options)(images)


def same(one, other):
    """Check that two results tell the same: ids, labels and order; scores and masks but for rounding."""
    assert [(t.id, t.label) for t in one.tracks] == [(t.id, t.label) for t in other.tracks]
    assert len(one.tracks) > 5
    np.testing.assert_allclose([t.score for t in one.tracks], [t.score for t in other.tracks], atol=1e-4)
    apart, pixels = 0, 0
    for a, b in zip(one.tracks, other.tracks, strict=True):
        for first, second in zip(a.masks, b.masks, strict=True):
            assert (first is None) == (second is None)
            if first is not None:
                first, second = decode(first), decode(second)
                apart, pixels = apart + (first != second).sum(), pixels + first.size
    assert pixels > 0 and apart <= 5e-3 * pixels  # of noise, in a network of noise


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_video_gives_the_same_as_in_pytorch(family, tmp_path):
    model = ready(FAMILIES[family]())
    written = export_model(model, tmp_path / "tiny.onnx", size=SIZE, text_tower=True)
    assert written.difference < 1e-3
    exported = load_model(str(written.path), device="cpu")
    assert isinstance(exported, ExportedModel) and exported.family == model.family
    same(segment(model, frames()), segment(exported, frames()))
    onnx.checker.check_model(str(written.path))


@pytest.fixture
def swin():
    """Return the name of a Swin Transformer of few numbers, whose attention windows are those of Swin-B."""
    name = "swin_of_tests"

    def build(pretrained=False, **options):
        options = {key: value for key, value in options.items() if not key.startswith(("pretrained_", "cache"))}
        sizes = {"img_size": 384, "window_size": 12, "embed_dim": 8, "depths": (2, 1, 1, 1), "num_heads": (1, 1, 2, 2)}
        return SwinTransformer(**sizes, **options)

    build.__name__ = name
    register_model(build)
    return name


@pytest.mark.slow
def test_swins_windows_at_other_sizes_than_at_export(swin, tmp_path):
    """Maps of one window and of many, padded and not."""
    model = ready(build_tiny_ovformer(backbone=swin))
    session = Session(export_model(model, tmp_path / "swin.onnx").path, "cpu")
    graph = Graph(model).eval()
    for height, width in ((32, 32), (96, 128), (384, 768), (96, 544)):
        given = graph.example(Sizes(height, width), 2, 2)
        with torch.no_grad():
            wanted = dict(zip(graph.outputs, graph(*given.values()), strict=True))
        name, difference = furthest(session(given), wanted)
        assert difference < 1e-4, (height, width, name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width", "batch", "labels"),
    [(64, 96, 1, "dog"), (96, 200, 3, LABELS), (130, 70, 2, [f"word {i}" for i in range(40)])],
)
def test_other_sizes_batches_and_words_than_at_export(any_size, height, width, batch, labels):
    model, path = any_size
    exported = load_model(str(path), device="cpu")
    images = frames(5, height, width)
    # The five frames leave a last batch that is not full.
    same(segment(model, images, labels, batch=batch), segment(exported, images, labels, batch=batch))


@pytest.mark.slow
def test_the_text_tower_that_travels_in_the_file_reads_words(any_size):
    model, path = any_size
    exported = load_model(str(path), device="cpu")
    texts = ["a dog", "a photo of a small kitten"]
    assert exported.clip.text_fingerprint() == model.clip.text_fingerprint()
    torch.testing.assert_close(exported.clip.embed_texts(texts), model.clip.embed_texts(texts))


@pytest.mark.slow
def test_without_a_text_tower_given_embeddings_serve_and_words_are_refused(fixed):
    model, path = fixed
    exported = load_model(str(path), device="cpu")
    with pytest.raises(
        InputError, match=r"CLIP tiny-resnet that it was exported with, which is not here; give --text-"
    ):
        segment(exported, frames())
    vectors = torch.nn.functional.normalize(torch.randn(3, model.clip.width), dim=-1)
    given = TextEmbeddings(vectors, torch.arange(3), ("a", "b", "c"))
    same(*(segment(one, frames(), ["a", "b", "c"], text_embeddings=given) for one in (model, exported)))


@pytest.mark.slow
def test_a_file_of_one_size_refuses_others(fixed, tmp_path):
    _, path = fixed
    exported = load_model(str(path), device="cpu")
    given = TextEmbeddings(torch.eye(24)[:2], torch.arange(2), ("a", "b"))
    with pytest.raises(InputError, match=r"for frames of 64x96 pixels only, and these are 128x96 .* --size 128x96"):
        segment(exported, frames(2, 120, 96), ["a", "b"], text_embeddings=given)


@pytest.mark.slow
def test_what_the_file_says(any_size):
    model, path = any_size
    exported = load_model(str(path), device="cpu")
    header = exported.header
    assert (header.name, header.family, header.licence) == (model.name, "clip-vis", "made by hand")
    assert header.prompts and header.precision == "float32"
    assert exported.notes[-1].startswith("tiny.onnx: clip-vis-tiny-resnet, float32, through ONNX Runtime")
    assert "the processor (CPUExecutionProvider)" in exported.notes[-1]
    proto = onnx.load(path)
    sizes = [dim.dim_param or dim.dim_value for dim in proto.graph.input[0].type.tensor_type.shape.dim]
    assert sizes == ["batch", 1, 3, "32*height", "32*width"]
    kinds = {node.op_type for node in proto.graph.node}
    assert "GridSample" not in kinds  # TensorRT's is wrong
    assert b"site-packages" not in path.read_bytes()  # places on the machine that wrote it
    assert set(read_carried(proto)) > {"clip.model.text_projection"}


def changed(proto, change):
    change(proto)
    return proto.SerializeToString()


def _opset(proto):
    proto.opset_import[0].version = 13


def _weights(proto):
    tensor = max(proto.graph.initializer, key=lambda one: len(one.raw_data))
    tensor.raw_data = tensor.raw_data[:100] + b"\x00\x00\x80\x3f" + tensor.raw_data[104:]


def _format(proto):
    entry = next(entry for entry in proto.metadata_props if entry.key == KEY)
    entry.value = re.sub(r'"format":\d+', '"format":99', entry.value)


def _config(proto):
    entry = next(entry for entry in proto.metadata_props if entry.key == KEY)
    entry.value = entry.value.replace('"queries":6', '"queries":-6')


def _signed_config(proto):
    _config(proto)
    entry = next(entry for entry in proto.metadata_props if entry.key == KEY)
    header = msgspec.json.decode(entry.value, type=Header)
    proto.metadata_props.remove(entry)
    signed(proto, header)


def _node(proto):
    node = next(node for node in proto.graph.node if node.op_type == "Relu")  # a graph that runs all the same
    node.op_type = "Abs"


def _renamed(proto):
    proto.graph.output[0].name = "boxes"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_opset, "uses operators of opset 13, and this ovvis writes and checks opset 18"),
        (_weights, "is damaged or was changed: it is not what was exported"),
        (_node, "is damaged or was changed: it is not what was exported"),
        (_format, "is of format 99, and this ovvis reads 1"),
        (_config, "is damaged or was changed: it is not what was exported"),
        (_signed_config, "its setting queries is -6"),
        (_renamed, "its outputs are"),
        (lambda proto: proto.metadata_props.pop(), "was not written by ovvis, or is cut short"),
    ],
)
def test_a_changed_file_is_refused(fixed, tmp_path, change, says):
    path = tmp_path / "changed.onnx"
    path.write_bytes(changed(onnx.load(fixed[1]), change))
    with pytest.raises(InputError, match=re.escape(says)) as told:
        load_model(str(path), device="cpu")
    assert "\n" not in str(told.value)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.9999])
def test_a_cut_file_is_refused(fixed, tmp_path, share):
    whole = fixed[1].read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=r"cut short|damaged"):
        load_model(str(path), device="cpu")


def test_strangers_files_are_refused(tmp_path):
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [value], [out])
    onnx.save(onnx.helper.make_model(graph), tmp_path / "stranger.onnx")
    (tmp_path / "page.onnx").write_text("<!DOCTYPE html><html>")
    (tmp_path / "noise.onnx").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "folder.onnx").mkdir()
    for name, says in (
        ("stranger", "was not written by ovvis"),
        ("page", "is a web page"),
        ("noise", "cut short, damaged or no ONNX file"),
        ("empty", "is empty"),
        ("folder", "is a folder"),
        ("nothing", "does not exist"),
    ):
        with pytest.raises(InputError, match=says):
            load_model(str(tmp_path / f"{name}.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "cuda"}, "this ONNX Runtime has no CUDAExecutionProvider (install onnxruntime-gpu"),
        ({"device": "mps"}, "this ONNX Runtime has no CoreMLExecutionProvider"),
        ({"device": "gpu"}, "there is none of that name"),
        ({"precision": "bfloat16"}, "computes in float32, which its export decided"),
        ({"weights": "x.pth"}, "holds its own weights"),
        ({"iou_activation": "relu"}, "is as it was exported"),
    ],
)
def test_what_an_export_has_decided_cannot_be_asked_for(fixed, options, says):
    with pytest.raises(InputError, match=re.escape(says)):
        load_model(str(fixed[1]), **options)


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("x.pt", {}, "must end in .onnx"),
        ("no/x.onnx", {}, "its folder does not exist"),
        ("there.onnx", {}, "is there already"),
        ("x.onnx", {"size": (60, 96)}, "such as 64x96"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(tiny_model, tmp_path, name, options, says):
    (tmp_path / "there.onnx").write_bytes(b"old")
    with pytest.raises(InputError, match=says):
        export_model(tiny_model, tmp_path / name, **options)
    assert (tmp_path / "there.onnx").read_bytes() == b"old"


@pytest.mark.slow
def test_a_file_moves_and_is_named_as_it_lies(fixed, tmp_path):
    shutil.copy(fixed[1], tmp_path / "Mine.ONNX")
    assert load_model(str(tmp_path / "Mine.ONNX"), device="cpu").source == "Mine.ONNX"
