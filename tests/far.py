"""A device that is far away: it computes with the CPU's numbers, and counts whoever waits for it.

Its tensors say that they lie on another device ("meta"), so that everything takes the way of an accelerator. Where a
tensor of the CPU meets one of its own it refuses, as a GPU does, and it notes what would make the CPU wait for a GPU:
numbers that are read, sizes that depend on numbers, and copies to it and from it.
"""

import traceback
from collections import Counter

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_map

FAR = torch.device("meta")
ATEN = torch.ops.aten
WAITS = {
    ATEN._local_scalar_dense.default: "number read",
    ATEN.nonzero.default: "size that depends on numbers",
    ATEN.masked_select.default: "size that depends on numbers",
    ATEN._unique2.default: "size that depends on numbers",
    ATEN.bincount.default: "size that depends on numbers",
    ATEN.equal.default: "number read",
}


class Far(torch.Tensor):
    """A tensor that lies there."""

    @staticmethod
    def __new__(cls, near):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            layout=near.layout,
            device=FAR,
            requires_grad=near.requires_grad,
        )
        made.near = near
        return made

    def __repr__(self):
        return f"Far({self.near})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError(f"{func} outside of FarMode")


class FarMode(TorchDispatchMode):
    """Computes for the far device, and counts.

    Attributes:
        waits: what would have made the CPU wait, by kind.
        where: the same by kind and by our line that did it.
    """

    def __init__(self):
        super().__init__()
        self.waits, self.where = Counter(), Counter()

    def __enter__(self):
        self._made = _Made()
        self._made.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._made.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        flat = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        far = any(isinstance(x, Far) for x in flat)
        asked = kwargs.get("device")
        to_far = asked is not None and torch.device(asked).type == "meta"
        from_far = asked is not None and torch.device(asked).type == "cpu"
        self._note(func, args, far, to_far, from_far)
        if far and func not in (ATEN.copy_.default, ATEN._to_copy.default):
            lost = [x for x in flat if not isinstance(x, Far) and x.dim() > 0]
            if lost:
                raise RuntimeError(f"{func}: tensors on the far device and on the CPU {[tuple(x.shape) for x in lost]}")
        if to_far:
            kwargs["device"] = torch.device("cpu")
        near_args, near_kwargs = tree_map(_near, (args, kwargs))
        found = func(*near_args, **near_kwargs)
        there = to_far or (far and not from_far)
        if func is ATEN.copy_.default:
            return args[0]
        if not there or func is ATEN._local_scalar_dense.default:
            return found
        wrapped = tree_map(lambda x: Far(x) if isinstance(x, torch.Tensor) else x, found)
        return return_and_correct_aliasing(func, args, kwargs, wrapped) if far and not to_far else wrapped

    def _note(self, func, args, far, to_far, from_far):
        what = None
        if far and func in WAITS:
            what = WAITS[func]
        elif far and func is ATEN.index.Tensor and any(_is_bool(x) for x in args[1] if x is not None):
            what = "size that depends on numbers"
        elif far and func in (ATEN.index_put_.default, ATEN.index_put.default):
            what = "size that depends on numbers" if any(_is_bool(x) for x in args[1] if x is not None) else None
        elif func is ATEN._to_copy.default and to_far and not far:
            what = "copy to it"
        elif func is ATEN._to_copy.default and from_far and far:
            what = "copy from it"
        elif func is ATEN.copy_.default and isinstance(args[0], Far) != isinstance(args[1], Far):
            what = "copy to it" if isinstance(args[0], Far) else "copy from it"
        if what is not None:
            self.waits[what] += 1
            self.where[what, _line()] += 1


class _Made(TorchFunctionMode):
    """Makes tensors of Python's numbers here first, then sends them, as PyTorch does it for a GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func is torch.tensor and torch.device(kwargs.get("device") or "cpu").type == "meta":
            del kwargs["device"]
            return func(*args, **kwargs).to(FAR)
        return func(*args, **kwargs)


def _line():
    """Return the innermost line of the package that is running."""
    ours = [frame for frame in traceback.extract_stack() if "/ovvis/" in frame.filename]
    return f"{ours[-1].filename.rpartition('/ovvis/')[2]}:{ours[-1].lineno}" if ours else "elsewhere"


def _is_bool(x):
    return x.dtype in (torch.bool, torch.uint8)


def _near(x):
    return x.near if isinstance(x, Far) else x


def send(module):
    """Put a module's parameters and buffers there, in place."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                part._parameters[name] = torch.nn.Parameter(Far(value.detach()), requires_grad=False)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = Far(value.detach())
    return module
