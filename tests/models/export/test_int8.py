"""Exports in whole numbers of 8 bits: near to the model, smaller, and refused where they cannot be."""

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_ovformer
from ovvis.errors import InputError, ResourceError
from ovvis.inference.calibration import Spread, spread_windows
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.export import write
from ovvis.models.export.write import export_model
from ovvis.models.load import load_model
from ovvis.sources.video import open_source

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
SIZE = (64, 96)


def video(count=13):
    random = np.random.default_rng(0)
    return open_source(list(random.integers(0, 255, (count, 64, 96, 3), dtype=np.uint8)))


@pytest.mark.parametrize(("shown", "kept"), [(0, []), (3, [0, 1, 2]), (5, [0, 2, 4]), (16, [0, 4, 8, 12])])
def test_what_is_kept_lies_evenly(shown, kept):
    spread = Spread(4)
    for item in range(shown):
        spread.show(item)
    assert list(spread) == kept


def test_windows_are_of_the_network_s_size(_tiny_clips):
    model = build_tiny_ovformer()
    windows = spread_windows(model, video(), 3, SIZE)
    assert [tuple(window.pixels.shape) for window in windows] == [(3, 3, *SIZE)] * 2
    assert [window.frames[0].index for window in windows] == [0, 6]
    assert all(window.views.shape == (3, 3, model.view_side, model.view_side) for window in windows)
    with pytest.raises(InputError, match="shows no 3 frames"):
        spread_windows(model, video(2), 3, SIZE)


@pytest.mark.slow
@pytest.mark.parametrize("build", [build_tiny, build_tiny_ovformer])
def test_it_is_near_to_the_model_and_runs(build, tmp_path, _tiny_clips):
    model = build().for_inference(torch.device("cpu"), torch.float32)
    windows = spread_windows(model, video(), 8, SIZE)
    written = export_model(model, tmp_path / "tiny.onnx", size=SIZE, text_tower=True, calibration=windows)
    assert written.header.precision == "int8" and 0 < written.difference <= write.TOLERANCE_INT8
    exported = load_model(str(written.path), device="cpu")
    assert exported.precision == "int8" and "int8" in exported.notes[-1]
    result = VideoSegmenter(exported, "dog, cat", prompts=["a {}."], cache=False, short_edge=64)(video(4))
    assert result.settings["precision"] == "int8" and len(result.tracks) > 1
    kinds = [node.op_type for node in onnx.load(written.path).graph.node]
    assert "QuantizeLinear" in kinds and kinds.count("DequantizeLinear") > kinds.count("Conv") > 3
    onnx.checker.check_model(str(written.path))


@pytest.mark.slow
def test_too_few_bits_are_refused_and_nothing_is_left(tmp_path, monkeypatch, _tiny_clips):
    monkeypatch.setattr(write, "TOLERANCE_INT8", 1e-4)
    model = build_tiny().for_inference(torch.device("cpu"), torch.float32)
    with pytest.raises(ResourceError, match=r"8 bits are too few for this model, .* give others with --calibrate"):
        export_model(model, tmp_path / "x.onnx", size=SIZE, calibration=spread_windows(model, video(), 4, SIZE))
    assert list(tmp_path.iterdir()) == []
