from dataclasses import replace

import pytest
import torch

import ovvis
from fakes import (
    authors_checkpoint,
    build_tiny,
    build_tiny_fc_clip,
    build_tiny_ovformer,
    tiny_config,
    tiny_fc_clip_config,
    tiny_ov_dvis_config,
    tiny_ovformer_config,
)
from ovvis.errors import ResourceError
from ovvis.models import built, zoo
from ovvis.models.checkpoint import write_checkpoint
from ovvis.models.devices import pick_device, pick_precision
from ovvis.models.families import FAMILIES
from ovvis.models.load import load_model
from ovvis.models.own_weights import convert
from ovvis.models.places import weights_path
from ovvis.models.zoo import list_models
from refusing import refused


@pytest.fixture(autouse=True)
def _tiny_zoo(monkeypatch):
    """The zoo's names stand for tiny models: the LVIS-trained CLIP-VIS are 2 layers deep, the others 3."""
    for name, entry in list(zoo.ZOO.items()):
        if entry.family in ("fc-clip", "ov-dvis"):
            clip = "tiny-convnext" if "convnext" in name else "tiny-resnet"
            config = tiny_fc_clip_config(clip, decoder_layers=3)
            if entry.family == "ov-dvis":
                config = tiny_ov_dvis_config(clip, decoder_layers=3, refined=entry.config.refined)
            monkeypatch.setitem(zoo.ZOO, name, replace(entry, config=config))
            continue
        if entry.family != "clip-vis":
            like = entry.config
            small = tiny_ovformer_config(
                alignment=like.alignment, temporal=like.temporal, window=like.window, decoder_layers=3
            )
            config = small if like.backbone == "resnet50" else replace(small, backbone=like.backbone)
            monkeypatch.setitem(zoo.ZOO, name, replace(entry, config=config))
            continue
        clip = "tiny-convnext" if "convnext" in name else "tiny-resnet"
        depth = 3 if name.endswith("ytvis19") else 2
        monkeypatch.setitem(zoo.ZOO, name, replace(entry, config=tiny_config(clip, decoder_layers=depth)))


def write(path, clip="tiny-resnet", change=None, with_clip=True, **changes):
    state = dict(build_tiny(clip, **changes).state_dict())
    if not with_clip:
        state = {name: tensor for name, tensor in state.items() if not name.startswith("clip.")}
    content = authors_checkpoint(state)
    if change is not None:
        change(content["model"])
    torch.save(content, path)
    return path


def predict(model):
    with torch.no_grad():
        pixels = torch.randn(1, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        return model(pixels)


@pytest.mark.parametrize(("name", "clip"), [("clip-vis-r50", "tiny-resnet"), ("clip-vis-convnext-b", "tiny-convnext")])
def test_authors_file_and_ours(tmp_path, name, clip):
    path = write(tmp_path / "model_final.pth", clip)
    wanted = predict(build_tiny(clip))
    model = load_model(name, path)
    assert (model.name, model.source) == (name, "model_final.pth")
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    got = predict(model)
    assert torch.allclose(got.mask_logits, wanted.mask_logits, atol=1e-3)
    assert torch.allclose(got.embeddings, wanted.embeddings, atol=1e-3)
    entry = convert(path, tmp_path / "ours.safetensors")
    assert entry.name == name
    assert torch.equal(predict(load_model(name, tmp_path / "ours.safetensors")).mask_logits, got.mask_logits)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m.update({"sem_seg_head.predictor.other": torch.ones(1)}), ["predictor.other"]),
        (lambda m: m.pop("sem_seg_head.predictor.decoder_norm.bias"), ["missing", "query_decoder.norm.bias"]),
        (lambda m: m.update({"sem_seg_head.predictor.query_feat.weight": torch.ones(7, 32)}), ["(7, 32)", "(6, 32)"]),
        (lambda m: m["sem_seg_head.predictor.query_feat.weight"].fill_(float("nan")), ["query_features", "not finite"]),
    ],
)
def test_a_wrong_tensor_is_named(tmp_path, change, named):
    path = write(tmp_path / "a.pth", change=change)
    refused(lambda: load_model("clip-vis-r50", path), str(path), *named)


def test_another_clip_names_both(tmp_path):
    path = write(tmp_path / "a.pth", "tiny-convnext")
    refused(lambda: load_model("clip-vis-r50", path), "clip-vis-convnext-b", "clip-vis-r50", str(path))


def test_contradicting_depths_name_both(tmp_path):
    two = write(tmp_path / "a.pth")
    refused(lambda: load_model("clip-vis-r50-ytvis19", two), "has 2", "with 3", str(two))
    refused(lambda: load_model("clip-vis-r50", two, decoder_layers=5), "has 2", "with 5")
    ours = tmp_path / "a.safetensors"
    refused(lambda: convert(two, ours, "clip-vis-r50-ytvis19"), "has 2", "with 3")
    assert not ours.exists()


def test_the_tensors_tell_the_depth(tmp_path):
    path = write(tmp_path / "a.pth", decoder_layers=3)
    assert len(load_model("clip-vis-r50", path).network.query_decoder.layers) == 3
    assert convert(path, tmp_path / "a.safetensors").name == "clip-vis-r50-ytvis19"


def test_without_a_name_the_checkpoint_tells_the_model(tmp_path):
    path = write(tmp_path / "a.pth", "tiny-convnext", decoder_layers=3)
    assert load_model(weights=path).name == "clip-vis-convnext-b-ytvis19"
    assert load_model(weights="untrained").name == zoo.SMALL_MODEL
    write_checkpoint(tmp_path / "b.safetensors", {"x": torch.ones(1)}, "clip-vis", {"clip": "ViT-B-32"})
    refused(lambda: load_model(weights=tmp_path / "b.safetensors"), "b.safetensors", "no model of the zoo")


def test_without_a_clip_its_own_weights_are_taken(tmp_path, monkeypatch):
    path = write(tmp_path / "a.pth", with_clip=False)
    state = {n: t for n, t in build_tiny().state_dict().items() if n.startswith("clip.")}
    asked = []

    def own(config, on_progress=None):
        asked.append((config.clip, config.clip_weights))
        return state

    monkeypatch.setattr(built, "pretrained_clip", own)
    assert load_model("clip-vis-r50", path).network.query_decoder.query_features.shape == (6, 32)
    assert asked == [("tiny-resnet", "openai")]


def test_another_family(tmp_path):
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, {"x": torch.ones(1)}, "ovformer", {})
    refused(lambda: load_model("clip-vis-r50", path), "ovformer", "clip-vis-r50")


def test_a_newer_file(tmp_path):
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, {"x": torch.ones(1)}, "clip-vis", {"clip": "tiny-resnet", "hue": 1})
    refused(lambda: load_model("clip-vis-r50", path), "'hue'", "update")


def test_a_file_of_no_known_clip(tmp_path):
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, {"x": torch.ones(1)}, "clip-vis", {"clip": "ViT-B-32"})
    refused(lambda: convert(path, tmp_path / "b.safetensors"), str(path), "no model of the zoo")


def test_convert_to_a_place_that_cannot_be(tmp_path):
    path = write(tmp_path / "a.pth")
    refused(lambda: convert(path, path / "b.safetensors"), "b.safetensors", "cannot be written", kind=ResourceError)


def test_options_reach_the_model():
    model = load_model("clip-vis-r50", "untrained", queries=3, iou_activation="relu", memory=4, matched=2)
    assert model.network.query_decoder.query_features.shape[0] == 3
    assert (model.video.memory, model.video.matched, model.video.scores_bounded) == (4, 2, False)
    assert model.network.iou_head.activation == "relu"
    assert model.source == "untrained"


def test_untrained_is_the_same_each_time():
    one, two = (load_model("clip-vis-r50", "untrained") for _ in range(2))
    assert torch.equal(predict(one).mask_logits, predict(two).mask_logits)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: load_model("clip-vis-r5"), ["'clip-vis-r5'", "clip-vis-r50"]),
        (lambda: load_model("clip-vis-r50", "untrained", quries=3), ["'quries'", "queries"]),
        (lambda: load_model("clip-vis-r50", "untrained", device="gpu"), ["'gpu'"]),
        (lambda: load_model("clip-vis-r50", "untrained", device="cuda:99"), ["'cuda:99'"]),
        (lambda: load_model("clip-vis-r50", "untrained", device="meta"), ["'meta'"]),
        (lambda: load_model("clip-vis-r50", "untrained", device=""), ["''"]),
        (lambda: load_model("clip-vis-r50", "untrained", precision="float23"), ["'float23'", "float32"]),
        (lambda: load_model("clip-vis-r50", "/no/such.pth"), ["/no/such.pth"]),
    ],
)
def test_refusals(call, named):
    refused(call, *named)


# Once: load.py `_check_options` asks for the names alone; "Relu" is silently taken for "sigmoid", and so on.
@pytest.mark.parametrize("option", ["iou_activation", "pooling", "class_score", "weighting"])
def test_an_unknown_choice_is_refused(option):
    refused(lambda: load_model("clip-vis-r50", "untrained", **{option: "Relu"}), "'Relu'", option)


def test_devices_and_precisions():
    cpu = torch.device("cpu")
    assert pick_device("cpu") == cpu
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    assert pick_precision("bfloat16", cpu) == torch.bfloat16
    assert pick_precision("float32", cpu) == torch.float32
    assert pick_precision("auto", cpu) in (torch.bfloat16, torch.float32)


def test_precision_of_the_model():
    model = load_model("clip-vis-r50", "untrained", precision="bfloat16", device="cpu")
    assert model.dtype == torch.bfloat16
    assert predict(model).embeddings.isfinite().all()


def test_an_authors_file_among_the_zoos_own_clips(tmp_path, monkeypatch):
    """open_clip knows nothing of a CLIP of ours, which every file is compared with too."""
    small = replace(zoo.ZOO["clip-vis-stickers"], config=tiny_config("clip-stickers", quick_gelu=False))
    monkeypatch.setitem(zoo.ZOO, "clip-vis-stickers", small)
    path = write(tmp_path / "a.pth")
    assert convert(path, tmp_path / "a.safetensors").name == "clip-vis-r50"
    refused(lambda: load_model("clip-vis-stickers", path), "clip-vis-r50", "clip-vis-stickers")


def test_the_zoo():
    entries = list_models()
    assert [entry.name for entry in entries] == list(zoo.ZOO)
    urls = [entry.url for entry in entries if entry.published and not entry.packaged]
    assert len(set(urls)) == len(urls) == 15
    for entry in entries:
        assert entry.family in FAMILIES
        assert weights_path(entry).name == f"{entry.name}.safetensors"
        assert entry.code_licence and entry.weights_licence and entry.data_licence
    assert ovvis.list_models is list_models


@pytest.mark.parametrize(("name", "clip"), [("fc-clip-r50", "tiny-resnet"), ("fc-clip-convnext-l", "tiny-convnext")])
def test_an_authors_fc_clip_is_told_by_its_tensors(tmp_path, name, clip):
    path = tmp_path / "model_final.pth"
    model = build_tiny_fc_clip(clip, decoder_layers=3)
    torch.save(authors_checkpoint(model.state_dict(), **{"additional_void_embedding.weight": torch.ones(2, 16)}), path)
    loaded = load_model(weights=path)
    assert loaded.name == name
    assert torch.equal(loaded.classifier.void, model.classifier.void)
    assert torch.allclose(predict(loaded).class_embeddings, predict(model).class_embeddings, atol=1e-3)
    refused(lambda: load_model("clip-vis-r50", path), f"is one of {name}", "clip-vis-r50")
    refused(lambda: load_model(name, write(tmp_path / "c.pth", clip)), "is one of clip-vis", name)


def write_ovformer(path, labels=5, **changes):
    state = {n: t for n, t in build_tiny_ovformer(**changes).state_dict().items() if not n.startswith("clip.")}
    matrix = torch.nn.functional.normalize(torch.randn(24, labels + 1), dim=0)
    torch.save(authors_checkpoint(state, **{"sem_seg_head.predictor.class_embed.zs_weight": matrix}), path)
    return path


@pytest.fixture
def _own_clip(monkeypatch):
    """The tiny CLIP's weights are what open_clip fetches."""
    state = {n: t for n, t in build_tiny_ovformer().state_dict().items() if n.startswith("clip.")}
    monkeypatch.setattr(built, "pretrained_clip", lambda config, on_progress=None: state)


@pytest.mark.parametrize(
    ("labels", "changes", "name"),
    [
        (1196, {"decoder_layers": 3}, "ovformer-r50"),
        (1203, {"decoder_layers": 3}, "ovformer-r50-lvis"),
        (1203, {"decoder_layers": 3, "alignment": "none"}, "ov2seg-r50"),
    ],
)
@pytest.mark.usefixtures("_own_clip")
def test_an_authors_ovformer_is_told_by_its_tensors_and_its_labels(tmp_path, labels, changes, name):
    path = write_ovformer(tmp_path / "a.pth", labels, **changes)
    assert convert(path, tmp_path / "a.safetensors").name == name
    model = load_model(None, tmp_path / "a.safetensors")
    assert (model.name, model.family) == (name, name.partition("-")[0])
    assert len(model.texts.labels) == labels and torch.allclose(model.texts.vectors.norm(dim=-1), torch.ones(labels))
    for given in (path, tmp_path / "a.safetensors"):
        state = load_model(name, given).state_dict()
        wanted = build_tiny_ovformer(**changes).for_inference(torch.device("cpu"), torch.float32).state_dict()
        assert state.keys() == wanted.keys()
        own = [key for key in wanted if key.startswith("network.")]
        assert [key for key in own if not torch.equal(state[key], wanted[key])] == []


@pytest.mark.usefixtures("_own_clip")
def test_an_ovformer_that_nothing_tells_must_be_named(tmp_path):
    path = write_ovformer(tmp_path / "a.pth", 12, decoder_layers=3)
    refused(lambda: convert(path, tmp_path / "b.safetensors"), "ovformer-r50 or ovformer-r50-lvis", "name the model")
    refused(lambda: load_model(None, path), "ovformer-r50 or ovformer-r50-lvis")
    model = load_model("ovformer-r50-lvis", path)
    assert model.video.window == 1
    assert model.texts is None  # nobody knows what the twelve are


@pytest.mark.usefixtures("_own_clip")
def test_families_are_not_taken_for_each_other(tmp_path):
    ovformer, ov2seg = (write_ovformer(tmp_path / f"{a}.pth", alignment=a) for a in ("released", "none"))
    refused(lambda: load_model("ov2seg-r50", ovformer), "is one of ovformer-r50", "ov2seg-r50")
    refused(lambda: load_model("ovformer-swin-b", ovformer), "is one of ovformer-r50", "ovformer-swin-b")
    refused(lambda: load_model("ovformer-r50", ov2seg), "is one of ov2seg-r50", "ovformer-r50")
    refused(lambda: load_model("clip-vis-r50", ovformer), "is one of ovformer-r50", "clip-vis-r50")
    refused(lambda: load_model("ovformer-r50", write(tmp_path / "c.pth")), "is one of clip-vis-r50", "ovformer-r50")


def test_weights_that_nobody_published():
    refused(lambda: load_model("ov2seg-swin-b"), "ov2seg-swin-b", "no weights of it are published", kind=ResourceError)


@pytest.mark.usefixtures("_own_clip")
def test_the_labels_that_came_with_the_weights_are_a_default(tmp_path):
    path = write_ovformer(tmp_path / "a.pth", 1196, decoder_layers=3)
    model = load_model("ovformer-r50", path)
    segmenter = ovvis.VideoSegmenter(model, max_tracks=4)
    assert segmenter.vocabulary.names == ovvis.Vocabulary.builtin("lvvis").names
    assert torch.equal(segmenter.text.vectors, model.texts.vectors)
    # Words on the spot are asked of CLIP all the same.
    asked = ovvis.VideoSegmenter(model, ["zebra"], cache=False, prompts=["a {}"])
    assert asked.text.labels == ("zebra",)
    refused(lambda: ovvis.VideoSegmenter(load_model("clip-vis-r50", "untrained")), "clip-vis-r50", "labels")


@pytest.mark.usefixtures("_own_clip")
def test_the_tensors_tell_the_number_of_queries(tmp_path):
    path = write_ovformer(tmp_path / "a.pth", alignment="none", decoder_layers=3, queries=9)
    assert load_model("ov2seg-r50", path).config.queries == 9
    refused(lambda: load_model("ov2seg-r50", path, queries=4), "(9, 32)", "(4, 32)")
