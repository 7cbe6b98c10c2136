"""What is told of tensors that do not fit."""

import sys
from dataclasses import replace

import pytest
import torch

from fakes import authors_checkpoint, build_tiny, tiny_config
from ovvis.cli import main as cli
from ovvis.errors import InputError
from ovvis.models import zoo
from ovvis.models.load import load_model
from ovvis.models.own_weights import convert
from ovvis.models.strict import MOST, TensorsDiffer, load_strictly


def small():
    return torch.nn.Sequential(*(torch.nn.Linear(2, 3) for _ in range(4)))


@pytest.mark.parametrize(
    ("change", "ignore", "lines"),
    [
        (
            lambda s: [s.pop(f"{i}.bias") for i in (0, 1, 3)],
            True,
            ["missing from the file: 3", "  0-3.bias  3  (3 tensors)"],
        ),
        (lambda s: s.update({"a.1": torch.ones(())}), False, ["unused of the file: 1", "  a.1  a number"]),
        (
            lambda s: s.update({"2.weight": torch.ones(5, 2)}),
            True,
            ["of another shape (file -> model): 1", "  2.weight  5x2 -> 3x2"],
        ),
        (
            lambda s: (s.pop("0.bias"), s.update({"b": torch.ones(1), "1.bias": torch.ones(9)})),
            True,
            [
                "missing from the file: 1",
                "  0.bias  3",
                "unused of the file: 1",
                "  b  1",
                "of another shape (file -> model): 1",
                "  1.bias  9 -> 3",
            ],
        ),
    ],
)
def test_the_report_lists_all(change, ignore, lines):
    module, state = small(), dict(small().state_dict())
    change(state)
    with pytest.raises(TensorsDiffer) as caught:
        load_strictly(module, state, "the file", ignore_unused=ignore)
    assert caught.value.report.splitlines() == lines
    assert ("--ignore-unused" in str(caught.value)) == (not ignore)


def test_a_report_is_bounded():
    state = dict(small().state_dict()) | {f"{'x' * i}.weight": torch.ones(1) for i in range(1, 200)}
    with pytest.raises(TensorsDiffer) as caught:
        load_strictly(small(), state, "the file")
    lines = caught.value.report.splitlines()
    assert len(lines) == MOST + 2 and lines[0] == "unused of the file: 199" and lines[-1] == "  ... and 139 lines more"


def test_unused_tensors_are_left_out_when_asked():
    module, state = small(), {name: torch.full_like(t, 2) for name, t in small().state_dict().items()}
    assert load_strictly(module, state | {"b": torch.ones(1)}, "x", {"a": torch.ones(1)}, ignore_unused=True) == [
        "a",
        "b",
    ]
    assert all((p == 2).all() for p in module.parameters())
    with pytest.raises(InputError, match="not finite"):
        load_strictly(module, state | {"0.bias": torch.full((3,), float("nan"))}, "x", ignore_unused=True)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """An authors' checkpoint with a tensor that no model has."""
    monkeypatch.setitem(zoo.ZOO, "clip-vis-r50", replace(zoo.ZOO["clip-vis-r50"], config=tiny_config()))
    state = authors_checkpoint(build_tiny().state_dict())
    state["model"]["sem_seg_head.predictor.new.weight"] = torch.ones(2)
    torch.save(state, tmp_path / "a.pth")
    return tmp_path / "a.pth"


def test_in_python(file):
    with pytest.raises(TensorsDiffer) as caught:
        load_model("clip-vis-r50", file)
    head, *rest = caught.value.report.splitlines()
    assert (
        head.startswith("ovvis ") and "clip-vis-r50, a.pth of " in head and str(file.parent) not in caught.value.report
    )
    assert rest == ["unused of the file: 1", "  sem_seg_head.predictor.new.weight  2"]
    (note,) = load_model("clip-vis-r50", file, ignore_unused=True).notes
    assert "1 of its tensors are not used (first: sem_seg_head.predictor.new.weight)" in note


def test_in_the_command(file, monkeypatch, capsys):
    def call(*more):
        words = ["ovvis", "convert", str(file), str(file.with_suffix(".safetensors")), *more]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as leave:
            cli.run()
        return leave.value.code, capsys.readouterr().err

    code, said = call("--model", "clip-vis-r50")
    assert code == 2 and said.startswith("ovvis: ") and "\n\nTo paste into an issue:\novvis " in said
    assert said.endswith("unused of the file: 1\n  sem_seg_head.predictor.new.weight  2\n")
    code, said = call("--model", "clip-vis-r50", "--ignore-unused")
    assert code == 0 and "1 of its tensors are not used" in said
    convert(file, file.with_name("c.safetensors"), ignore_unused=True)  # the model is told by the others
