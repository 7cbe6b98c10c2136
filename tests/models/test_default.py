"""Which model runs where none is named: what is here, what is fetched, and what is left."""

import logging
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from fakes import authors_checkpoint, build_tiny, tiny_config
from misbehaving import serving
from ovvis.errors import InputError
from ovvis.models import default, reach, transfer, zoo
from ovvis.models.default import FETCHED, candidates, default_model, merit
from ovvis.models.download import RECORD, weights_folder
from ovvis.models.load import load_model
from ovvis.models.places import weights_path
from ovvis.models.sources import Hub, Url
from ovvis.models.zoo import SMALL_MODEL, ZOO, find_model

BEST, NEXT = FETCHED


def lay(*names, folder=None, suffix=".safetensors"):
    """Lay down what stands for a model's weights."""
    folder = folder or weights_folder()
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}{suffix}").write_bytes(b"1234")


@pytest.fixture
def network(monkeypatch):
    """Whatever is asked for can be reached."""
    monkeypatch.setattr(default, "unreachable", lambda addresses: None)


def test_what_is_fetched_is_the_best_that_is_open_and_of_reasonable_size():
    entries = [find_model(name) for name in FETCHED]
    assert [merit(entry) for entry in entries] == sorted(map(merit, entries), reverse=True)
    for entry in entries:
        assert entry.weights_licence.startswith("Apache-2.0") and entry.parameters * 4 <= 1000
    for entry in ZOO.values():  # whatever is better is not open, or too large
        licences = f"{entry.weights_licence} {entry.data_licence}"
        closed = any(word in licences for word in ("GPL", "NC", "research", "not stated"))
        open_and_better = not closed and entry.published and merit(entry) > merit(entries[0])
        assert not open_and_better or entry.parameters * 4 > 1000, entry.name


# What is here -> what is taken.
@pytest.mark.parametrize(
    ("here", "taken", "said"),
    [
        (["clip-vis-r50", "ovformer-r50"], "ovformer-r50", "LV-VIS val AP 21.9"),
        (["clip-vis-r50", "ov-dvis-convnext-l"], "clip-vis-r50", "LV-VIS val AP 19.5; weights: Apache-2.0"),
        (
            ["ov-dvis-r50", "ov-dvis-convnext-l", "fc-clip-r50"],
            "ov-dvis-convnext-l",
            "OVIS AP 24.0; weights: not stated",
        ),
        (["fc-clip-r50"], "fc-clip-r50", "ADE20K AP 9.5"),
        (["ov2seg-r50"], "ov2seg-r50", "weights: GPL-3.0"),
        (["ov2seg-swin-b", "clip-vis-r50"], "ov2seg-swin-b", "GPL-3.0"),  # published or not: it is here
    ],
)
def test_the_best_that_is_here_is_taken_and_nobody_is_asked(here, taken, said, monkeypatch):
    monkeypatch.setattr(default, "unreachable", lambda addresses: pytest.fail("asked"))
    lay(*here)
    choice = default_model()
    assert (choice.name, choice.to_fetch_bytes) == (taken, None)
    assert said in choice.line and f"taking {taken}: the best of the published models" in choice.line
    assert "\n" not in choice.line


def test_a_mirror_folder_is_here(monkeypatch, tmp_path):
    monkeypatch.setenv("OVVIS_MIRROR", str(tmp_path))
    lay("clip-vis-r50", folder=tmp_path, suffix=".pth")
    assert default_model(ask=False).name == "clip-vis-r50"
    lay("ovformer-swin-b", folder=tmp_path)
    assert default_model(ask=False).name == "ovformer-swin-b"


@pytest.mark.usefixtures("network")
def test_what_a_mirror_behind_an_address_says_that_it_has_comes_before_what_is_open(monkeypatch):
    with serving() as server:
        monkeypatch.setenv("OVVIS_MIRROR", f"{server.address}/m")
        record = b'{"clip-vis-r50.safetensors": 3, "ovformer-r50.safetensors": {"size": 77}, "x": {}}'
        server.files[f"/m/{RECORD}"] = record
        choices = list(candidates())
        assert [choice.name for choice in choices] == ["ovformer-r50", "clip-vis-r50", BEST, SMALL_MODEL]
        assert [choice.to_fetch_bytes for choice in choices] == [77, 488_000_000, 796_000_000, None]
        assert f"the best of those in the mirror {server.address}/m" in choices[0].line
        server.files[f"/m/{RECORD}"] = b"<html>"
        assert [choice.name for choice in candidates()] == [BEST, NEXT, SMALL_MODEL]


@pytest.mark.usefixtures("network")
def test_with_a_network_the_best_open_one_is_fetched_and_its_size_said(monkeypatch):
    choice = default_model()
    assert (choice.name, choice.to_fetch_bytes) == (BEST, 796_000_000)
    assert "fetching clip-vis-convnext-b once, about 796 MB: no published weights are here" in choice.line
    pinned = replace(find_model(BEST), sources=(Url("http://x.org/a", size=5_000_000),))
    monkeypatch.setitem(zoo.ZOO, BEST, pinned)
    assert "about 5 MB" in default_model().line
    lay("ov2seg-r50")
    assert [choice.name for choice in candidates()] == ["ov2seg-r50", BEST, NEXT, SMALL_MODEL]
    assert "none of the published weights here can be used" in list(candidates())[-1].line


@pytest.mark.parametrize("variable", ["OVVIS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nobody_is_asked(variable, monkeypatch):
    monkeypatch.setattr(default, "unreachable", lambda addresses: pytest.fail("asked"))
    monkeypatch.setenv(variable, "1")
    (choice,) = candidates()
    assert choice.name == SMALL_MODEL and f"none can be fetched ({variable}=1)" in choice.line


def test_without_a_network_the_small_one_runs(monkeypatch):
    monkeypatch.setattr(reach, "getproxies", dict)
    (choice,) = candidates()
    assert choice.name == SMALL_MODEL and "127.0.0.1: the connection was refused" in choice.line


def test_no_pytorch_is_needed():
    program = (
        "import sys; from ovvis.models.default import default_model; default_model(ask=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


# Loading it


@pytest.fixture
def served(monkeypatch, tmp_path):
    """Tiny models in the place of the two, whose files a server that is shaped like the Hub gives."""
    monkeypatch.setattr(transfer, "PAUSE", 0.0)
    monkeypatch.setattr(reach, "getproxies", dict)
    torch.save(authors_checkpoint(build_tiny().state_dict()), tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        server.repositories["them/weights"] = {f"{name}.pth": content for name in FETCHED}
        for name in FETCHED:
            source = Hub("them/weights", f"{name}.pth")
            monkeypatch.setitem(
                zoo.ZOO, name, replace(zoo.ZOO[name], config=tiny_config(), sources=(source,), parameters=1)
            )
        yield server


def said(caplog, level=logging.WARNING):
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def test_it_is_fetched_and_then_taken_from_here(served, caplog):
    with caplog.at_level(logging.INFO, "ovvis"):
        assert load_model().name == BEST
        asked = len(served.asked)
        assert load_model().name == BEST
    assert len(served.asked) == asked
    lines = said(caplog, logging.INFO)
    assert f"fetching {BEST} once, about 4 MB" in lines[0] and "fetching it from" in lines[1]
    assert "\n" not in "".join(lines) and f"taking {BEST}" in lines[-1]


# What becomes of the best's file -> what is loaded, and a line for it.
@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"no checkpoint", "the file there"),
        (None, "has no such file"),
    ],
)
def test_one_that_does_not_load_gives_way_to_the_next_best(served, caplog, content, line):
    files = served.repositories["them/weights"]
    files[f"{BEST}.pth"] = content
    if content is None:
        del files[f"{BEST}.pth"]
    assert load_model().name == NEXT
    lines = said(caplog)
    assert any(line in text for text in lines) and any(f"fetching {NEXT} once" in text for text in lines)
    assert "and it is the next best that is openly licensed" in lines[-1]
    files.clear()
    weights_path(find_model(NEXT)).unlink()
    caplog.clear()
    assert load_model().name == SMALL_MODEL
    assert f"{BEST} could not be had; {NEXT} could not be had" in said(caplog)[-1]


def test_tensors_that_differ_are_a_line_that_says_how_to_list_them(served, caplog, tmp_path):
    state = authors_checkpoint(build_tiny().state_dict())
    state["model"]["sem_seg_head.predictor.new.weight"] = torch.zeros(2)
    torch.save(state, tmp_path / "b.pth")
    served.repositories["them/weights"][f"{BEST}.pth"] = (tmp_path / "b.pth").read_bytes()
    assert load_model().name == NEXT
    assert any(text == f"{BEST}: what to do about that is said by `ovvis models fetch {BEST}`" for text in said(caplog))


def test_weights_here_that_were_changed_give_way_to_the_next(served, caplog, monkeypatch):
    assert load_model().name == BEST
    path = weights_path(find_model(BEST))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert load_model().name == NEXT
    assert any("have changed since they were fetched" in text and str(path) in text for text in said(caplog))
    path.unlink()
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    assert load_model().name == NEXT


def test_a_mistake_of_the_users_is_no_reason_to_take_another(served, caplog):
    for options in ({"device": "gpu"}, {"precision": "float9"}, {"quries": 3}):
        with pytest.raises(InputError, match=next(iter(options.values()), "") if "quries" not in options else "quries"):
            load_model(**options)
    assert not served.asked


def test_a_cut_in_the_fetch_goes_on_with_the_next_run(served, monkeypatch, caplog):
    monkeypatch.setattr(transfer, "TRIES", 1)
    place = f"/bytes/them/weights/{BEST}.pth"
    served.wrong[place] = "cut"
    del served.repositories["them/weights"][f"{NEXT}.pth"]
    assert load_model().name == SMALL_MODEL
    assert any("the next try goes on behind them" in text for text in said(caplog))
    assert load_model().name == BEST
    first, second = served.ranges(place)
    assert first is None and second > 0
