"""A trained model packed into the package's folder, and loaded from it by name."""

import importlib.util
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from fakes import build_tiny, build_tiny_ovformer, tiny_config
from ovvis.errors import InputError, ResourceError
from ovvis.models import places, zoo
from ovvis.models.checkpoint import read_checkpoint, write_checkpoint
from ovvis.models.load import load_model
from ovvis.models.own_clip import pretrained_clip
from ovvis.models.places import weights_files
from ovvis.paths import cache_folder

SPEC = importlib.util.spec_from_file_location(
    "pack_weights", Path(__file__).resolve().parents[2] / "tools" / "pack_weights.py"
)
pack_weights = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pack_weights)

NAME = "clip-vis-tiny"
CONFIG = tiny_config(clip_weights="tiny", none_logit=3.5, short_edge=96)


@pytest.fixture
def entry(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "FOLDER", tmp_path / "weights")
    made = replace(zoo.ZOO["clip-vis-r50"], name=NAME, config=CONFIG, sources=())
    monkeypatch.setattr(zoo, "ZOO", {NAME: made})
    monkeypatch.setattr("ovvis.models.recognised.ZOO", {NAME: made})
    return made


@pytest.fixture
def export(tmp_path):
    """What training writes: CLIP's weights came from elsewhere, and nothing was calibrated yet."""
    return save(tmp_path / "export.safetensors", build_tiny())


def save(path, model):
    write_checkpoint(path, model.state_dict(), model.family, asdict(model.config))
    return path


def pack(entry, export, only=None):
    return pack_weights.pack(read_checkpoint(export), entry, places.FOLDER, only)


def predict(model):
    with torch.no_grad():
        return model(torch.randn(1, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0)))


def test_a_family_without_none_of_these(entry, tmp_path):
    model = build_tiny_ovformer()
    other = replace(entry, name="ovformer-tiny", family=model.family, config=replace(model.config, clip_weights="tiny"))
    export = save(tmp_path / "ovformer.safetensors", model)
    assert len(pack(other, export)) == 2
    assert (places.FOLDER / "ovformer-tiny.safetensors").is_file()


def test_packed_and_loaded_by_name(entry, export):
    said = pack(entry, export)
    assert sorted(path.name for path in places.FOLDER.iterdir()) == [f"{NAME}.safetensors", "tiny-resnet.safetensors"]
    assert [path for path in weights_files(entry) if str(path) in "".join(said)] == weights_files(entry)
    kinds = {(tensor.ndim > 1, tensor.dtype) for tensor in read_checkpoint(weights_files(entry)[0]).state.values()}
    assert kinds == {(True, torch.float16), (False, torch.float32)}
    assert not any(name.startswith("clip.") for name in read_checkpoint(weights_files(entry)[0]).state)
    model, wanted = load_model(NAME), build_tiny()
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    # What is calibrated, and the model's own size, are the zoo's.
    assert (model.config, model.video.none_logit, model.short_edge) == (CONFIG, 3.5, 96)
    assert not list(cache_folder().iterdir())
    got, before = predict(model), predict(wanted)
    assert torch.allclose(got.mask_logits, before.mask_logits, atol=2e-2 * float(before.mask_logits.abs().max()))
    assert load_model(NAME, none_logit=None).video.none_logit is None
    assert load_model(NAME, none_logit=4).video.none_logit == 4


def test_a_second_model_shares_the_clip(entry, export, tmp_path):
    pack(entry, export)
    clip = weights_files(entry)[1]
    before = clip.stat().st_mtime_ns
    # Trained on the packed CLIP, so its weights have been rounded once.
    again = build_tiny()
    again.load_state_dict({**again.state_dict(), **{n: t.float() for n, t in pretrained_clip(CONFIG).items()}})
    pack(entry, save(tmp_path / "again.safetensors", again))
    assert clip.stat().st_mtime_ns == before
    with torch.no_grad():
        again.clip.model.logit_scale += 1
    other = save(tmp_path / "other.safetensors", again)
    for only in (None, "network"):
        with pytest.raises(InputError, match="another CLIP"):
            pack(entry, other, only)
    pack(entry, other, "clip")
    assert pretrained_clip(CONFIG)["clip.model.logit_scale"] == again.clip.model.logit_scale


def test_the_clip_alone(entry, tmp_path):
    """A CLIP's training exports an untrained network of any size beside it."""
    path = save(tmp_path / "clip.safetensors", build_tiny(queries=3, decoder_layers=1))
    with pytest.raises(InputError, match="the CLIP too"):
        pack(entry, save(tmp_path / "whole.safetensors", build_tiny()), "network")
    pack(entry, path, "clip")
    assert [file.name for file in places.FOLDER.iterdir()] == ["tiny-resnet.safetensors"]
    state = pretrained_clip(CONFIG)
    assert state.keys() == {name for name in build_tiny().state_dict() if name.startswith("clip.")}


@pytest.mark.parametrize(
    ("change", "named"),
    [({"queries": 5}, ["queries 5", "6"]), ({"decoder_layers": 1}, ["decoder_layers"])],
)
def test_an_export_of_other_settings_is_refused(entry, tmp_path, change, named):
    with pytest.raises(InputError) as caught:
        pack(entry, save(tmp_path / "a.safetensors", build_tiny(**change)))
    assert all(word in str(caught.value) for word in named)
    assert not places.FOLDER.exists()


def test_a_weight_that_float16_cannot_hold():
    with pytest.raises(InputError, match=r"a holds 1e\+05"):
        pack_weights.small({"a": torch.full((2, 2), 1e5)})
    kept = pack_weights.small({"a": torch.full((2,), 1e-7), "n": torch.tensor(3)})
    assert kept["a"].tolist() == pytest.approx([1e-7, 1e-7]) and kept["n"] == 3


def test_missing_damaged_and_foreign_files(entry, export):
    with pytest.raises(ResourceError, match=rf"{NAME} are missing.*install"):
        load_model(NAME)
    pack(entry, export)
    network, clip = weights_files(entry)
    with pytest.raises(InputError, match=r"tiny-resnet/other.*only tiny-resnet/tiny"):
        pretrained_clip(replace(CONFIG, clip_weights="other"))
    whole = clip.read_bytes()
    clip.write_bytes(whole[:1000])
    with pytest.raises(InputError, match="damaged"):
        load_model(NAME)
    clip.unlink()
    with pytest.raises(InputError, match="open_clip knows none of that tag"):
        load_model(NAME)
    clip.write_bytes(whole)
    state = read_checkpoint(network).state
    state.pop("network.query_decoder.norm.bias")
    write_checkpoint(network, state, "clip-vis", {})
    with pytest.raises(InputError, match="missing"):
        load_model(NAME)
