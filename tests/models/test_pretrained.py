import pytest
import timm
import torch
from safetensors.torch import save_file

from misbehaving import serving
from ovvis.errors import InputError, ResourceError
from ovvis.models import download
from ovvis.models.backbones import pretrained
from ovvis.models.backbones.pretrained import start_backbone
from ovvis.models.backbones.timm_features import build_timm_backbone
from ovvis.models.sources import Url

CONV, SWIN = "test_resnet", "swin_s3_tiny_224"


def classifier(name, **options):
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=7, **options).state_dict()


def as_microsoft_wrote_it(state):
    """Swin's own layout: a stage's downsampling stands at the end of the stage before."""
    out = {}
    for name, tensor in state.items():
        if ".downsample." in name:
            parts = name.split(".")
            name = ".".join(["layers", str(int(parts[1]) - 1), *parts[2:]])
        out[name.replace("head.fc.", "head.")] = tensor
    return out


@pytest.mark.parametrize("kind", ["pth", "state_dict", "model", "safetensors"])
def test_a_convolutional_classifier(kind, tmp_path):
    state = classifier(CONV)
    path = tmp_path / f"weights.{'safetensors' if kind == 'safetensors' else 'pth'}"
    if kind == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save(state if kind == "pth" else {kind: state, "epoch": 3}, path)
    backbone = build_timm_backbone(CONV, True, 0.0)
    start_backbone(backbone, CONV, str(path))
    own = backbone.net.state_dict()
    assert own and all(torch.equal(tensor, state[name]) for name, tensor in own.items() if "num_batches" not in name)


def test_a_swin_of_its_authors(tmp_path):
    state = classifier(SWIN)
    torch.save({"model": as_microsoft_wrote_it(state)}, tmp_path / "swin.pth")
    backbone = build_timm_backbone(SWIN, True, 0.0)
    start_backbone(backbone, SWIN, str(tmp_path / "swin.pth"))
    own = backbone.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in own.items() if not name.startswith("norms."))


def test_refused(tmp_path):
    backbone = build_timm_backbone(CONV, True, 0.0)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    state = classifier(CONV)
    name = "conv1.0.weight" if "conv1.0.weight" in state else "conv1.weight"
    cases = {
        "lack": ({key: tensor for key, tensor in state.items() if key != name}, f"lack {name}: they are not of {CONV}"),
        "shape": (state | {name: torch.zeros(2)}, f"have another shape of {name}"),
        "more": (state | {"layer9.weight": torch.zeros(2)}, "have an unknown layer9.weight"),
        "none": ({"epoch": 3}, "hold no tensors by name"),
    }
    for case, (content, said) in cases.items():
        torch.save(content, tmp_path / f"{case}.pth")
        with pytest.raises(InputError, match=said) as caught:
            start_backbone(backbone, CONV, str(tmp_path / f"{case}.pth"))
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="do not exist; give a file, or imagenet-21k"):
        start_backbone(backbone, CONV, str(tmp_path / "gone.pth"))
    with pytest.raises(InputError, match="no imagenet-21k weights for 'test_resnet'"):
        start_backbone(backbone, CONV, "imagenet-21k")
    assert all(torch.equal(before[name], tensor) for name, tensor in backbone.state_dict().items())


def test_published_weights_are_fetched_once(monkeypatch, tmp_path):
    """What is fetched is kept as safetensors; without a network the message says what to fetch."""
    torch.save({"state_dict": classifier("resnet50")}, tmp_path / "r50.pth")
    with serving() as server:
        server.files["/resnet50_miil_21k.pth"] = (tmp_path / "r50.pth").read_bytes()
        address = f"{server.address}/resnet50_miil_21k.pth"
        monkeypatch.setitem(pretrained._SOURCES, "resnet50", Url(address))
        backbone = build_timm_backbone("resnet50", True, 0.0)
        for _ in range(2):
            start_backbone(backbone, "resnet50", "imagenet-21k")
        assert len(server.asked) == 1
    (kept,) = download.weights_folder().glob("*.safetensors")
    kept.unlink()
    with pytest.raises(ResourceError, match=rf"download {address} .*--set model.backbone=FILE"):
        start_backbone(backbone, "resnet50", "imagenet-21k")
