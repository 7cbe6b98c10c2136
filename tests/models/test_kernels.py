"""The kernel for a GPU: run by Triton's interpreter, compiled for real GPUs, and left out where it would be wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fakes import build_tiny
from ovvis.errors import InputError
from ovvis.models.accelerations import accelerations
from ovvis.models.layers import kernels
from ovvis.models.layers.deformable_attention import DeformableAttention

CPU = torch.device("cpu")
CLOSE = {"torch.float32": 2e-6, "torch.float16": 1e-3, "torch.bfloat16": 8e-3}


@pytest.fixture(scope="module")
def told():
    pytest.importorskip("triton")
    run = Path(__file__).with_name("kernel_run.py")
    inside = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, run], capture_output=True, check=True, text=True, env=inside)
    return json.loads(done.stdout)


def test_the_kernel_gives_what_pytorch_gives(told):
    assert len(told["apart"]) == 15
    for name, (apart, size) in told["apart"].items():
        assert size > 0 or name.startswith("far")
        assert apart <= CLOSE[name.rpartition(" ")[2]] * max(size, 1), name
    assert told["layer"] < 1e-5


def test_it_is_taken_where_it_is_right_and_told_where_it_is_not(told):
    assert told["checked"] == ["", ""] and told["line"] == ""
    assert told["wrong"].startswith("by up to ")


def test_what_is_no_number_stays_none(told):
    assert told["finite"] == [True, False, False]


@pytest.mark.parametrize(("name", "capability"), [("fp16", 90), ("bf16", 80), ("fp32", 75)])
def test_it_compiles_for_a_gpu_that_is_not_here(name, capability):
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from ovvis.models.layers.deformable_kernel import _kernel

    if "nvidia" not in triton.backends.backends:
        pytest.skip("this Triton has no compiler for NVIDIA's GPUs")
    names = ("value", "raw", "reference", "sizes", "out", "tokens", "cells")
    kinds = (f"*{name}", f"*{name}", "*fp32", "*i32", f"*{name}", "i32", "i32")
    fixed = {"heads": 8, "levels": 3, "points": 4, "channels": 32, "wide": 32, "block": 32}
    signature = dict(zip(names, kinds, strict=True)) | dict.fromkeys(fixed, "constexpr")
    places = {(_kernel.arg_names.index(key),): value for key, value in fixed.items()}
    made = triton.compile(ASTSource(_kernel, signature, places), target=GPUTarget("cuda", capability, 32))
    assert "ld.global" in made.asm["ptx"] and made.asm["cubin"]


def test_without_triton_pytorchs_own_way_is_taken(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "ovvis.models.layers.deformable_kernel", raising=False)
    layer = DeformableAttention(8, 2, 3, 2)
    assert "Triton cannot be imported" in kernels.use_kernels(layer, CPU, torch.float32)
    assert layer.kernel is None


@pytest.mark.parametrize(
    ("kernel", "line"),
    [
        (lambda value, raw, *_: value.new_zeros(*raw.shape[:2], 8), "the kernel differs from it (by up to"),
        (lambda value, raw, *_: value.new_zeros(*raw.shape[:2], 7), "the kernel differs from it ((2, 37, 7)"),
        (lambda value, raw, *_: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_kernel_that_is_wrong_is_left_out(monkeypatch, kernel, line):
    pytest.importorskip("triton")
    from ovvis.models.layers import deformable_kernel

    monkeypatch.setattr(deformable_kernel, "sample", kernel)
    layer = DeformableAttention(8, 2, 3, 2)
    assert line in kernels.use_kernels(layer, CPU, torch.float32)
    assert layer.kernel is None


def test_ways_for_a_gpu_are_told_on_a_cpu():
    model = build_tiny().for_inference(CPU, torch.float32, ("kernels", "graph", "overlap"))
    assert model.accelerated == ("overlap",)
    assert [note.partition(":")[0] for note in model.notes] == ["accelerate kernels", "accelerate graph"]
    assert not any(isinstance(x, DeformableAttention) and x.kernel for x in model.modules())


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("all", ("kernels", "compile", "graph", "overlap", "batch")),
        (["graph", "all"], ("kernels", "compile", "graph", "overlap", "batch")),
        (" graph,kernels , graph", ("graph", "kernels")),
        ((), ()),
    ],
)
def test_names_of_ways(asked, found):
    assert accelerations(asked) == found


def test_an_unknown_way_is_refused():
    with pytest.raises(InputError, match=r"accelerate 'kernel': .*kernels"):
        accelerations("kernel")
