"""What several rooms' tests share."""

import json
import os
import random
import signal

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import settings

from browser import _shared_browser, browser, browsers  # noqa: F401  fixtures
from fakes import build_tiny
from ovvis.cli.stopping import STOPPING
from ovvis.files.signals import ENDING
from ovvis.models import load, sources
from ovvis.models.clip import FrozenClip

# The first example of a property may compile or build something.
settings.register_profile("ovvis", deadline=None, max_examples=40)
settings.load_profile("ovvis")


def pytest_configure(config):
    # In networks this small threads mostly wait for each other: where another process is busy too, twenty times as long
    # as one alone. Set the variable to test with more. The tests' own processes inherit it.
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a script's background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # as under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # pycocotools 2.0.11 under numpy 2; other people's code, not ours to mend.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
TINY_CLIPS = {
    # OpenAI's ResNet with one block a stage: levels of 64, 128, 256 and 512 channels.
    "tiny-resnet": {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": TEXT,
    },
    "tiny-convnext": {
        "embed_dim": 40,
        "vision_cfg": {
            "timm_model_name": "convnext_atto",
            "timm_model_pretrained": False,
            "timm_pool": "",
            "timm_proj": "linear",
            "image_size": 64,
        },
        "text_cfg": TEXT,
    },
}


_GPUS = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


@pytest.fixture(params=["cpu", *(name for name, here in _GPUS.items() if here)])
def device(request, monkeypatch):
    """Return each device that is here; a GPU's convolutions keep all bits of float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return request.param


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """No test touches the user's cache folder."""
    monkeypatch.setenv("OVVIS_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nor the network
    monkeypatch.setattr(sources, "DRIVE", "http://127.0.0.1:9/uc?id=")
    for name in ("OVVIS_MIRROR", "OVVIS_COOKIES", "OVVIS_OFFLINE", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _global_state():
    """Random states, torch's switches and what signals do are after a test what they were before it."""
    heard = {number: signal.getsignal(number) for number in ENDING}
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    grad, dtype = torch.is_grad_enabled(), torch.get_default_dtype()
    yield
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])
    torch.set_grad_enabled(grad)
    torch.set_default_dtype(dtype)
    for number, handler in heard.items():
        signal.signal(number, handler)
    STOPPING.forget()


@pytest.fixture(autouse=True)
def _ordinary_priority():
    """Where root runs it, the encoder SVT-AV1 takes real-time priority for good: all that starts later inherits it."""
    yield
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture(scope="session", autouse=True)
def _tiny_clips(tmp_path_factory):
    """Make open_clip know two architectures that build in a blink; the real ones have 100 million weights."""
    folder = tmp_path_factory.mktemp("clips")
    known = dict(open_clip.factory._MODEL_CONFIGS)
    for name, config in TINY_CLIPS.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
    # Not `add_model_config`: it appends to a list of folders that nothing takes back.
    open_clip.factory._MODEL_CONFIGS.update(TINY_CLIPS)
    yield
    open_clip.factory._MODEL_CONFIGS.clear()
    open_clip.factory._MODEL_CONFIGS.update(known)


@pytest.fixture(scope="session")
def tiny_model(_tiny_clips):
    """A CLIP-VIS on a tiny CLIP ResNet. Shared: do not change it."""
    return build_tiny()


@pytest.fixture
def quick(monkeypatch, tiny_model):
    """Let commands load a tiny model at once."""
    monkeypatch.setattr(load, "load_model", lambda *args, **kwargs: tiny_model)


@pytest.fixture(scope="session")
def tiny_convnext(_tiny_clips):
    """A CLIP-VIS on a tiny CLIP ConvNeXt. Shared: do not change it."""
    return build_tiny("tiny-convnext")


@pytest.fixture(scope="session")
def tiny_clip(tiny_model) -> FrozenClip:
    """The frozen CLIP of `tiny_model`. Shared: do not change it."""
    return tiny_model.clip
