"""Weights that are more than one file holds: with a limit so low that a tiny model's are."""

import re
import shutil

import pytest
import torch

from fakes import build_tiny
from ovvis.errors import InputError
from ovvis.models.export import beside
from ovvis.models.export.write import export_model
from ovvis.models.load import load_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def apart(tmp_path_factory, _tiny_clips):
    """Return a model and its two files."""
    model = build_tiny().for_inference(torch.device("cpu"), torch.float32)
    path = tmp_path_factory.mktemp("apart") / "tiny.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "MOST_BYTES", 100_000)
        written = export_model(model, path, size=(64, 96), text_tower=True)
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.onnx", "tiny.onnx.data"]
    assert written.bytes == sum(file.stat().st_size for file in path.parent.iterdir())
    assert path.stat().st_size < 0.3 * written.bytes
    return model, path


def test_both_files_are_the_model(apart):
    model, path = apart
    exported = load_model(str(path), device="cpu")
    pixels = torch.randn(1, 1, 3, 64, 96)
    texts = exported.clip.embed_texts(["a dog", "a cat"])  # its tower travels in the other file, too
    torch.testing.assert_close(texts, model.clip.embed_texts(["a dog", "a cat"]))
    from ovvis.structures import TextEmbeddings

    text = TextEmbeddings(texts, torch.arange(2), ("dog", "cat"))
    found, wanted = exported.see(pixels, None, text), model.see(pixels, None, text)
    torch.testing.assert_close(found.mask_logits, wanted.mask_logits, atol=1e-3, rtol=1e-3)


def test_without_the_other_file_or_with_another_it_is_refused(apart, tmp_path):
    shutil.copy(apart[1], tmp_path / "tiny.onnx")
    data = beside.weights_beside(apart[1]).read_bytes()
    for kept, says in (
        (None, "has its weights in 'tiny.onnx.data', which does not lie beside it; copy both files"),
        (data[: len(data) // 2], "cannot be read"),
        (data[:5000] + b"\x01\x02\x03\x04" + data[5004:], "it is not what was exported"),
    ):
        if kept is not None:
            (tmp_path / "tiny.onnx.data").write_bytes(kept)
        with pytest.raises(InputError, match=re.escape(says)) as told:
            load_model(str(tmp_path / "tiny.onnx"), device="cpu")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("place", ["../tiny.onnx.data", "/etc/hostname", "sub/tiny.onnx.data"])
def test_a_file_that_names_another_place_is_refused(apart, tmp_path, place):
    import onnx

    proto = onnx.load(apart[1], load_external_data=False)
    for tensor in proto.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = place
    (tmp_path / "far.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(InputError, match="does not lie beside it"):
        load_model(str(tmp_path / "far.onnx"), device="cpu")
