from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from fakes import authors_checkpoint
from ovvis.errors import InputError
from ovvis.models import clip_vis, outside
from ovvis.models.checkpoint import read_checkpoint
from ovvis.models.families import FAMILIES, Family
from ovvis.models.zoo import ZOO, ModelEntry


def install(monkeypatch, **points):
    """Let entry points be installed: what each gives, or raises."""

    def point(name, given):
        def load():
            if isinstance(given, Exception):
                raise given
            return given

        return SimpleNamespace(name=name, load=load, dist=SimpleNamespace(name="their-package"))

    monkeypatch.setattr(outside, "entry_points", lambda group: [point(*item) for item in points.items()])


MINE = FAMILIES[clip_vis.FAMILY]


def test_a_family_and_models_of_another_package(monkeypatch):
    install(monkeypatch, mine=MINE)
    assert outside.outside(outside.FAMILIES, Family, FAMILIES) == {"mine": MINE}
    lines = list(ZOO.values())[:2]
    install(monkeypatch, any_name=lines)
    assert outside.outside(outside.MODELS, ModelEntry, {}) == {line.name: line for line in lines}


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("mine", ImportError("no module 'that'"), "their-package cannot be imported .ImportError: no module 'that'"),
        ("mine", "a string", "gives a str, not a Family"),
        ("clip-vis", MINE, "the name 'clip-vis' is taken"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_told(monkeypatch, name, given, told):
    install(monkeypatch, **{name: given})
    with pytest.warns(UserWarning, match=told):
        assert outside.outside(outside.FAMILIES, Family, FAMILIES) == {}


def theirs(state):
    """Return the tensors of a package that calls everything "their.NAME"."""
    if not all(name.startswith("their.") for name in state):
        return None
    return {name.removeprefix("their."): tensor for name, tensor in state.items()}


def test_another_packages_checkpoints_are_read_by_its_own_names(monkeypatch, tmp_path, tiny_model):
    monkeypatch.setitem(FAMILIES, "mine", replace(MINE, title="Theirs", rename=theirs))
    ours = tiny_model.state_dict()
    torch.save({"model": {f"their.{name}": tensor for name, tensor in ours.items()}}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").state.keys() == ours.keys()
    torch.save({"model": authors_checkpoint(ours)["model"]}, tmp_path / "b.pth")  # of nobody there
    counters = {name for name in ours if name.endswith("num_batches_tracked")}
    assert read_checkpoint(tmp_path / "b.pth").state.keys() == ours.keys() - counters


@pytest.mark.parametrize(
    ("rename", "told"),
    [
        (lambda state: state["gone"], "adds Theirs fails on it .KeyError"),
        (lambda state: {"a": 1}, "adds Theirs gives no tensors by name"),
    ],
)
def test_a_package_that_fails_on_a_file_is_told(monkeypatch, tmp_path, rename, told):
    monkeypatch.setitem(FAMILIES, "mine", replace(MINE, title="Theirs", rename=rename))
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=told):
        read_checkpoint(tmp_path / "a.pth")
