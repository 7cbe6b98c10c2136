"""What a trained backbone begins with: the weights of an image classifier, from its authors' file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from timm.models.swin_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from ovvis.errors import InputError, nearest
from ovvis.models import download
from ovvis.models.checkpoint import read_safetensors
from ovvis.models.prefixes import unwrapped
from ovvis.models.sources import Url
from ovvis.models.torch_file import check_tensor, read_pickle, tensors_by_name
from ovvis.paths import user_path

IMAGENET_21K = "imagenet-21k"
WHAT = "backbone weights"

# Of both papers: ResNet-50 by Ridnik et al. (2021), Swin-B by Liu et al. (2021), both MIT-licensed.
_SOURCES = {
    "resnet50": Url(
        "https://miil-public-eu.oss-eu-central-1.aliyuncs.com/model-zoo/ImageNet_21K_P/models/resnet50_miil_21k.pth"
    ),
    "swin_base_patch4_window12_384": Url(
        "https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_base_patch4_window12_384_22k.pth"
    ),
}
_CLASSIFIER = ("fc.", "head.", "norm.")  # what a classifier has above its levels
_OWN = "norms."  # of our Swin's levels; no classifier has them


def start_backbone(
    backbone: nn.Module, architecture: str, weights: str, on_progress: download.Progress | None = None
) -> None:
    """Give a backbone the weights of an image classifier of the same architecture, in place.

    Args:
        backbone: what `build_timm_backbone` returned.
        architecture: timm's name of it.
        weights: "imagenet-21k", as both papers trained (fetched on first use), or a file: a `.pth` of the authors or
            of timm, or a `.safetensors` of timm.
        on_progress: called with bytes done and bytes in all while the file is fetched.

    Raises:
        InputError: the file is of another architecture, or cannot be read; there are none for this architecture.
        ResourceError: they cannot be fetched.
    """
    path = _fetched(architecture, on_progress) if weights == IMAGENET_21K else user_path(weights)
    where = f"{WHAT} {str(path)!r}"
    state = _state(path, where)
    net = getattr(backbone, "net", backbone)
    if architecture.startswith("swin_"):
        state = checkpoint_filter_fn(state, net)
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}
    own = net.state_dict()
    missing = [name for name in own if name not in kept and not name.startswith(_OWN) and "num_batches" not in name]
    wrong = [name for name in own if name in kept and kept[name].shape != own[name].shape]
    left = [name for name in kept if name not in own and "num_batches" not in name]
    for problem, names in (("lack", missing), ("have another shape of", wrong), ("have an unknown", left)):
        if names:
            raise InputError(
                f"{where} {problem} {names[0]}: they are not of {architecture}; give a file of that architecture"
            )
    net.load_state_dict({name: tensor for name, tensor in kept.items() if name in own}, strict=False)


def _state(path: Path, where: str) -> Mapping[str, Tensor]:
    """Return a classifier's tensors by name, float32."""
    if not path.is_file():
        raise InputError(f"{where} do not exist; give a file, or {IMAGENET_21K}")
    content = read_safetensors(path, WHAT)[0] if path.suffix == ".safetensors" else read_pickle(path, WHAT)
    state = next(
        (part for _, part in tensors_by_name(content) if part and all(isinstance(x, Tensor) for x in part.values())),
        None,
    )
    if state is None:
        raise InputError(f"{where} hold no tensors by name; give a classifier's weights")
    for name, tensor in state.items():
        check_tensor(str(name), tensor, where)
    named, _ = unwrapped({str(name): tensor for name, tensor in state.items()}, where)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in named.items()}


def _fetched(architecture: str, on_progress: download.Progress | None) -> Path:
    """Return the file of an architecture's published weights; fetch it on first use."""
    if architecture not in _SOURCES:
        raise InputError(
            f"there are no {IMAGENET_21K} weights for {architecture!r}; {nearest(architecture, _SOURCES)}, or give a "
            "file"
        )
    target = download.weights_folder() / f"{architecture}.{IMAGENET_21K}.safetensors"

    def finish(raw: Path, made: Path) -> None:
        state = _state(raw, f"{WHAT} {architecture!r}")
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, made)

    if target.is_file():
        download.check_checksum(target)
    else:
        source = _SOURCES[architecture]
        remedy = f"download {source.address} with a browser and give the file with --set model.backbone=FILE"
        download.fetch([source], target, finish, on_progress, remedy)
    return target
