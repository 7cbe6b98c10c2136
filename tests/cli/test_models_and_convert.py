"""`ovvis models`, `ovvis convert`, `ovvis --version`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from command import call
from fakes import authors_checkpoint, build_tiny, tiny_config
from misbehaving import serving
from ovvis.cli.lazy import load
from ovvis.models import transfer
from ovvis.models.sources import Url
from ovvis.models.zoo import ZOO
from ovvis.version import __version__


def test_models_lists_the_zoo(monkeypatch, capsys):
    assert call(monkeypatch, "models") == 0
    printed = capsys.readouterr().out
    for entry in ZOO.values():
        assert entry.name in printed and entry.url in printed
        assert entry.data_licence in printed and entry.training_data in printed
        assert all(f"{ap:.1f}" in printed for ap in [*entry.published_ap.values(), *entry.image_ap.values()])
    assert "not here yet" in printed
    assert "base and novel (paper, first version): LV-VIS val AP 18.8, novel 22.8;" in printed
    assert "base and novel (paper): LV-VIS val AP 21.9, base 22.1, novel 21.8;" in printed


def test_models_says_what_is_here(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "clip-vis-r50.safetensors").write_bytes(b"")
    assert call(monkeypatch, "models") == 0
    assert f"here: {tmp_path}" in capsys.readouterr().out


def test_version(monkeypatch, capsys):
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip() == f"ovvis {__version__}"


def test_without_a_verb_the_help_is_shown(monkeypatch, capsys):
    assert call(monkeypatch) == 2
    assert "segment" in capsys.readouterr().out


def test_unknown_verb(monkeypatch, capsys):
    assert call(monkeypatch, "segmnt") == 2
    assert "segmnt" in capsys.readouterr().err


def test_convert_refuses_what_is_no_checkpoint(monkeypatch, capsys, tmp_path: Path):
    assert call(monkeypatch, "convert", tmp_path / "gone.pth", tmp_path / "out.safetensors") == 2
    error = capsys.readouterr().err.strip()
    assert "gone.pth" in error and "\n" not in error
    assert not list(tmp_path.iterdir())


@pytest.fixture
def published(monkeypatch, tmp_path):
    """A tiny model in the place of clip-vis-r50, whose file a server on this machine gives; a model without one."""
    torch.save(authors_checkpoint(build_tiny().state_dict()), tmp_path / "a.pth")
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    with serving() as running:
        running.files["/good"] = (tmp_path / "a.pth").read_bytes()
        here = {"config": tiny_config(), "sources": (Url(f"{running.address}/good"),)}
        gone = {"config": tiny_config(), "sources": (Url(f"{running.address}/gone"),)}
        models = {"here": replace(ZOO["clip-vis-r50"], name="here", **here)}
        models |= {"gone": replace(ZOO["clip-vis-r50"], name="gone", **gone)}
        models |= {"packaged": replace(ZOO["clip-vis-r50"], name="packaged", sources=())}
        monkeypatch.setattr("ovvis.models.zoo.ZOO", models)
        yield running


def test_weights_are_fetched_mirrored_and_used_without_a_network(published, monkeypatch, tmp_path, capsys):
    assert call(monkeypatch, "models", "fetch", "here") == 0
    said = capsys.readouterr().out
    kept = tmp_path / "cache/weights/here.safetensors"
    assert str(kept) in said and "to pin it: Url(" in said and "sha256=" in said and kept.is_file()
    mirror = tmp_path / "a mirror"
    published.files.clear()  # what is here is copied, not fetched again
    assert call(monkeypatch, "models", "fetch", "here", "--to", mirror) == 0
    assert f"OVVIS_MIRROR='{mirror}' OVVIS_OFFLINE=1" in capsys.readouterr().out
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("OVVIS_MIRROR", str(mirror))
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    assert call(monkeypatch, "models", "fetch", "here") == 0
    copied = tmp_path / "elsewhere/weights/here.safetensors"
    assert copied.read_bytes() == kept.read_bytes()


def test_one_model_that_cannot_be_had_does_not_end_the_others(published, monkeypatch, tmp_path, capsys):
    assert call(monkeypatch, "models", "fetch", "--all", "--to", tmp_path / "mirror") == 2
    said = capsys.readouterr()
    assert (tmp_path / "mirror/here.safetensors").is_file() and "here:" in said.out
    assert "weights of 'gone' could not be fetched" in said.err and "1 model could not be had" in said.err
    assert not (tmp_path / "cache/weights").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [((), "--all"), (("here", "--all"), "--all"), (("packaged",), "in the package"), (("hree",), "did you mean here")],
)
def test_what_cannot_be_fetched_is_told(published, monkeypatch, capsys, words, named):
    assert call(monkeypatch, "models", "fetch", *words) == 2
    assert named in capsys.readouterr().err


def test_the_zoo_as_json(published, monkeypatch, capsys):
    assert call(monkeypatch, "models", "--json") == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert listed["here"]["weights"] is None and listed["here"]["sources"] == [f"{published.address}/good"]
    assert call(monkeypatch, "models", "fetch", "here") == 0
    capsys.readouterr()
    assert call(monkeypatch, "models", "--json") == 0
    listed = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert Path(listed["here"]["weights"]).stat().st_size == listed["here"]["weights_bytes"] > 0


@pytest.mark.parametrize(
    "words", ["segment", "predict", "reproduce stickers", "reproduce papers", "train", "convert", "models fetch"]
)
def test_every_verb_that_loads_a_model_takes_a_mirror(words):
    verb, *more = words.split()
    command = load(verb)
    for name in more:
        command = command.commands[name]
    assert any("--mirror" in parameter.opts for parameter in command.params)


@pytest.mark.parametrize("words", [("models", "fetch", "here"), ("convert", "a.pth", "b.safetensors"), ("train", "x")])
def test_a_mirror_that_is_not_there_is_told_first(published, monkeypatch, capsys, words):
    assert call(monkeypatch, *words, "--mirror", "/no/such") == 2
    assert "mirror '/no/such': there is no such folder" in capsys.readouterr().err


def test_weights_come_from_the_mirror_that_is_named(published, monkeypatch, tmp_path):
    (tmp_path / "mirror").mkdir()
    (tmp_path / "a.pth").rename(tmp_path / "mirror" / "here.pth")
    assert call(monkeypatch, "models", "fetch", "here", "--mirror", tmp_path / "mirror") == 0
    assert published.asked == []
