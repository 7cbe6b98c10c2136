"""Which of ONNX Runtime's providers runs a graph, and what is said where it is another than one would think."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from ovvis.errors import InputError, ResourceError
from ovvis.models.export.providers import CPU, Provider, left_to_processor, providers_for
from ovvis.models.export.session import Session

onnxruntime = pytest.importorskip("onnxruntime")

CUDA, COREML, DML = "CUDAExecutionProvider", "CoreMLExecutionProvider", "DmlExecutionProvider"
AZURE = "AzureExecutionProvider"


@pytest.mark.parametrize(
    ("device", "here", "found"),
    [
        ("auto", [CPU], [Provider(CPU)]),
        ("auto", [AZURE, CPU], [Provider(CPU)]),  # it sends frames to a server
        ("auto", [CPU, DML, COREML, CUDA], [Provider(CUDA), Provider(COREML), Provider(CPU)]),
        ("cpu", [CUDA, CPU], [Provider(CPU)]),
        ("cuda:2", [CUDA, CPU], [Provider(CUDA, 2)]),
        ("mps", [COREML, CPU], [Provider(COREML)]),
        ("coreml", [COREML, CPU], [Provider(COREML)]),
        ("dml", [DML, CPU], [Provider(DML)]),
        (DML, [DML, CPU], [Provider(DML)]),
    ],
)
def test_providers_for_a_device(device, here, found):
    assert providers_for(device, here) == found


@pytest.mark.parametrize(
    ("device", "says"),
    [
        ("cuda", "this ONNX Runtime has no CUDAExecutionProvider (install onnxruntime-gpu"),
        ("mps", "this ONNX Runtime has no CoreMLExecutionProvider (it is a Mac's; use cpu)"),
        ("gpu", "device 'gpu':"),
        ("cpu:1", "device 'cpu:1':"),
        ("cuda:x", "device 'cuda:x':"),
        ("azure", "device 'azure':"),
        (AZURE, "device 'AzureExecutionProvider':"),
    ],
)
def test_devices_that_are_not_here(device, says):
    with pytest.raises(InputError) as told:
        providers_for(device, [AZURE, CPU])
    assert says in str(told.value) and "\n" not in str(told.value)


class FakeSession:
    """A session of ONNX Runtime's whose answer is twice what it is given; what it does is decided by its provider."""

    opened: ClassVar[list] = []
    broken: ClassVar[dict] = {}  # provider -> what it does: "falls back", "raises", "is wrong", "fails"
    left: ClassVar[list] = []  # operators on the processor

    def __init__(self, path, options, providers):
        first = providers[0]
        self.name = first if isinstance(first, str) else first[0]
        FakeSession.opened.append(first)
        self.does = self.broken.get(self.name)
        if self.does == "raises":
            raise RuntimeError("no driver\nand more")

    def get_providers(self):
        return [CPU] if self.does == "falls back" else [self.name, CPU]

    def get_outputs(self):
        return [SimpleNamespace(name="y")]

    def run(self, names, given):
        if self.does == "fails":
            raise RuntimeError("out of memory")
        return [given["x"] * (2.5 if self.does == "is wrong" else 2.0)]

    def io_binding(self):
        return FakeBinding(self)

    def run_with_iobinding(self, binding):
        binding.answers = self.run(None, binding.given)

    def get_provider_graph_assignment_info(self):
        def part(provider, kinds):
            nodes = [SimpleNamespace(op_type=kind) for kind in kinds]
            return SimpleNamespace(ep_name=provider, get_nodes=lambda: nodes)

        return [part(self.name, ["Conv", "MatMul", "Shape"]), part(CPU, ["Shape", *self.left])]


class FakeBinding:
    """Keeps what is bound; the same fixed value is copied once."""

    def __init__(self, session):
        self.given = {}

    def bind_cpu_input(self, name, array):
        self.given[name] = array

    def bind_ortvalue_input(self, name, value):
        self.given[name] = value

    def bind_output(self, name, device):
        assert device == "cpu"

    def copy_outputs_to_cpu(self):
        return self.answers


@pytest.fixture
def runtime(monkeypatch):
    """Have an ONNX Runtime with the named providers; return how to break them."""
    monkeypatch.setattr(FakeSession, "opened", [])
    monkeypatch.setattr(onnxruntime, "InferenceSession", FakeSession)

    def have(*names, left=(), **broken):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*names, CPU])
        monkeypatch.setattr(FakeSession, "broken", {f"{name}ExecutionProvider": does for name, does in broken.items()})
        monkeypatch.setattr(FakeSession, "left", list(left))

    return have


CHECK = {"x": torch.arange(4.0)}


def opened(path, device="auto"):
    return Session(path, device, CHECK, ("words",))


def test_the_best_that_works_is_taken_without_a_word(runtime, tmp_path):
    runtime(CUDA, COREML)
    session = opened(tmp_path / "x.onnx")
    assert session.provider == CUDA and session.notes == ()
    assert FakeSession.opened == [(CUDA, {"device_id": 0}), CPU]  # the processor, to compare with
    assert session(CHECK)["y"].tolist() == [0, 2, 4, 6]


@pytest.mark.parametrize(
    ("does", "why"),
    [
        ("falls back", "its libraries do not load"),
        ("raises", "no driver"),
        ("fails", "out of memory"),
        ("is wrong", "its y are 25% from those of the processor"),
    ],
)
def test_one_that_does_not_work_is_said_or_refused(does, why, runtime, tmp_path):
    runtime(CUDA, CUDA=does)
    session = opened(tmp_path / "x.onnx")
    told = f"ONNX Runtime has CUDAExecutionProvider, but it does not work here ({why}): the next best is used"
    assert session.provider == CPU and session.notes == (told,)
    with pytest.raises(ResourceError) as error:
        opened(tmp_path / "x.onnx", "cuda:1")
    assert f"does not work here ({why}); mend that, or use --device cpu" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_wrong_answer_of_coreml_is_noticed_too(runtime, tmp_path):
    runtime(COREML, CoreML="is wrong")
    assert opened(tmp_path / "x.onnx").provider == CPU
    with pytest.raises(ResourceError, match="from those of the processor"):
        opened(tmp_path / "x.onnx", "mps")


def test_what_is_left_to_the_processor_is_said(runtime, tmp_path):
    runtime(COREML, left=["Einsum", "Conv", "Einsum"])
    (told,) = opened(tmp_path / "x.onnx").notes
    assert told.startswith("CoreML leaves 3 of 5 operators that cost something to the processor (Einsum 2, Conv 1)")


def test_an_older_runtime_does_not_tell():
    assert left_to_processor(SimpleNamespace(), Provider(CUDA)) is None


def test_what_seldom_changes_is_copied_to_the_gpu_once(runtime, tmp_path, monkeypatch):
    copied = []

    class Value:
        @staticmethod
        def ortvalue_from_numpy(array, device, number):
            copied.append((device, number))
            return array

    monkeypatch.setattr(onnxruntime, "OrtValue", Value)
    runtime(CUDA)
    session = Session(tmp_path / "x.onnx", "cuda:1", None, ("words",))
    words, others = torch.ones(2), torch.ones(3)
    for given in (words, words, others):
        assert session({"x": torch.ones(1), "words": given})["y"].tolist() == [2]
    assert copied == [("cuda", 1), ("cuda", 1)]
