"""What a network learns from windows: OVFormer's names and windows of several frames; CLIP-VIS's frames one by one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_fc_clip, build_tiny_ovformer, tiny_ovformer_config
from ovvis.datasets.annotations import Annotations
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.models.backbones.conv_clip import ConvClipBackbone
from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.text import embed_vocabulary
from ovvis.training.build import build_task
from ovvis.training.config import DataConfig, ModelConfig, RunConfig, TrainConfig, ValidationConfig
from ovvis.training.data.dataset import Part, TrainingSet
from ovvis.training.data.filtering import FilterConfig
from ovvis.training.data.live_scenes import live_part
from ovvis.training.data.loader import collate, network_input
from ovvis.training.data.sampling import Draw, SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from ovvis.training.devices import make_fabric
from ovvis.training.loop import train
from ovvis.training.loss.criterion import LossConfig
from ovvis.training.loss.objective import network_objective, trained_labels
from ovvis.training.optimizer import build_optimizer
from ovvis.training.start import _start_backbone
from ovvis.vocabulary import Vocabulary
from painted import paint
from tiny_world import tiny_sprites

AUGMENT = AugmentConfig(resize="short_edge", short_edges=(64,), flip=0.0)
CONFIG = TrainConfig(loss=LossConfig(points=100, label_sample=3), model=ModelConfig(network=tiny_ovformer_config()))


@pytest.fixture
def annotations(tmp_path) -> Annotations:
    return paint(tmp_path, [4, 2, 3], instances=2)


def training_set(annotations, model, frames=2, **choice):
    choice = FilterConfig(**choice)
    return TrainingSet([Part(annotations, AUGMENT)], SamplingConfig(frames), choice, view_side=model.view_side)


def batch_of(data, *videos):
    return collate([data[Draw(i, 0, video)] for i, video in enumerate(videos)])


@pytest.mark.parametrize(
    ("alignment", "backbone", "autocast"),
    [
        ("released", "test_resnet", False),
        ("released", "test_resnet", True),
        ("paper", "test_resnet", False),
        ("none", "test_resnet", True),
        ("released", "swin_s3_tiny_224", True),
    ],
)
def test_every_weight_of_an_ovformer_learns(annotations, alignment, backbone, autocast):
    model = build_tiny_ovformer(alignment=alignment, backbone=backbone, drop_path=0.1).train()
    data = training_set(annotations, model)
    objective = network_objective(CONFIG, model, lambda: data).train()
    batch = batch_of(data, 0, 1)
    assert batch.pixels.shape[1] == 2
    assert (batch.views is None) == (alignment == "none")
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        total, parts = objective(batch)
    assert set(parts) == {"object", "label", "mask", "dice"}
    assert total.dtype == torch.float32
    total.backward()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert not any(parameter.requires_grad for parameter in model.clip.parameters())
    assert all(parameter.grad is None for parameter in model.clip.parameters())


@pytest.mark.parametrize("clip", ["tiny-resnet", "tiny-convnext"])
def test_a_backbone_that_is_a_copy_of_clips(annotations, clip):
    """It begins with CLIP's weights, so that it sees what CLIP sees, and learns; the CLIP does not."""
    changes = {"clip": clip, "quick_gelu": clip == "tiny-resnet", "alignment": "none", "backbone": "clip"}
    model = build_tiny_ovformer(**changes)
    pixels = torch.randn(1, 3, 64, 96)
    wanted = ConvClipBackbone(model.clip)(pixels).levels
    torch.nn.init.ones_(next(model.network.backbone.parameters()))
    start = replace(CONFIG.model, network=tiny_ovformer_config(**changes), backbone="clip")
    _start_backbone(model, start, None)
    for level, same in zip(model.network.backbone(pixels).levels, wanted, strict=True):
        torch.testing.assert_close(level, same, atol=1e-4, rtol=1e-4)
    data = training_set(annotations, model)
    objective = network_objective(CONFIG, model.train(), lambda: data)
    objective(batch_of(data, 0))[0].backward()
    assert all(weight.grad is not None for weight in model.network.parameters())
    assert all(weight.grad is None for weight in model.clip.parameters())
    with pytest.raises(InputError, match=r"model\.backbone is 'imagenet-21k', but"):
        _start_backbone(model, replace(start, backbone="imagenet-21k"), None)
    with pytest.raises(InputError, match="the backbone of clip-vis-r50 is its CLIP; drop it"):
        _start_backbone(build_tiny(), ModelConfig(backbone="clip"), None)


def test_the_backbone_learns_slower_and_its_norms_are_frozen():
    model = build_tiny_ovformer()
    before = {name: buffer.clone() for name, buffer in model.network.backbone.named_buffers()}
    optimizer = build_optimizer(model.network, CONFIG.optimizer)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(1e-5 if name.startswith("backbone.") else 1e-4), name
    model.train()(torch.rand(1, 1, 3, 64, 64), every_layer=True, images=torch.rand(1, 1, 24))
    assert all(torch.equal(before[name], buffer) for name, buffer in model.network.backbone.named_buffers())


def test_a_swins_tables_are_not_decayed():
    model = build_tiny_ovformer(backbone="swin_s3_tiny_224")
    groups = build_optimizer(model, CONFIG.optimizer).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    tables = [p for name, p in model.network.named_parameters() if name.endswith("relative_position_bias_table")]
    assert tables and {decays[id(p)] for p in tables} == {0.0}


def test_clip_looks_at_whole_frames(annotations, tmp_path):
    """As released: before augmentation. A frame that repeats has the same view."""
    model = build_tiny_ovformer()
    other = replace(AUGMENT, short_edges=(40,), flip=1.0)
    sets = [
        TrainingSet([Part(annotations, augment)], SamplingConfig(2), view_side=model.view_side)
        for augment in (AUGMENT, other)
    ]
    one, flipped = (data[Draw(3, 0, 0)] for data in sets)
    assert one.views.shape == (2, 3, 64, 64)
    assert one.pixels.shape != flipped.pixels.shape
    assert torch.equal(one.views, flipped.views)
    still = paint(tmp_path, [1], "stills")
    repeated = TrainingSet([Part(still, AUGMENT)], SamplingConfig(3), view_side=64)[Draw(0, 0, 0)].views
    assert torch.equal(repeated[0], repeated[2])
    assert TrainingSet([Part(still, AUGMENT)])[Draw(0, 0, 0)].views is None


def test_labels_and_their_weights(annotations):
    """The root of the frames of the videos that hold a label; none for a novel one, which is never a wrong answer."""
    model = build_tiny_ovformer()
    data = training_set(annotations, model)
    found = trained_labels(CONFIG.model, model, data)
    assert found.text.labels == data.labels == ("red", "green", "blue")
    torch.testing.assert_close(found.weights, torch.tensor([3.0, 3.0, 0.0]))
    wanted = embed_vocabulary(model.clip, Vocabulary(["red", "green", "blue"])).vectors
    torch.testing.assert_close(found.text.vectors, wanted)
    base = training_set(annotations, model, groups=("common",))
    assert trained_labels(CONFIG.model, model, base).text.labels == ("green",)


def test_labels_of_the_live_world_weigh_alike():
    data = TrainingSet([live_part("stickers_live", sprites=tiny_sprites())])
    assert set(data.label_frames) == {1.0}
    assert len(data.label_frames) == len(data.labels)


def test_labels_of_two_datasets_that_differ_in_case(annotations):
    model = build_tiny_ovformer()
    shouted = replace(annotations, categories=tuple(Category(c.id, c.name.upper()) for c in annotations.categories))
    data = TrainingSet([Part(annotations), Part(shouted)], view_side=64)
    found = trained_labels(CONFIG.model, model, data)
    assert found.text.labels == ("red", "green", "blue", "RED", "GREEN", "BLUE")
    assert torch.equal(found.text.vectors[:3], found.text.vectors[3:])


def test_labels_from_a_file(annotations, tmp_path):
    model = build_tiny_ovformer()
    data = training_set(annotations, model)
    np.save(tmp_path / "rows.npy", np.eye(24)[:4])
    asked = replace(CONFIG.model, text_embeddings=str(tmp_path / "rows.npy"), text_rows="blue, white, red, green")
    found = trained_labels(asked, model, data)
    assert found.text.vectors.argmax(1).tolist() == [2, 3, 0]
    np.save(tmp_path / "rows.npy", np.eye(25)[:4])
    with pytest.raises(InputError, match="25 numbers in a row, but ovformer-tiny compares 24"):
        trained_labels(asked, model, data)


def test_a_window_costs_the_same_whoever_shares_its_batch(annotations):
    model = build_tiny_ovformer(alignment="none").eval()
    data = training_set(annotations, model)
    objective = network_objective(CONFIG, model, lambda: data)
    window = [data[Draw(i, 0, i)] for i in range(2)]
    alone = [objective(collate([w]))[1]["label"].item() for w in window]
    together = objective(collate(window))[1]["label"].item()
    assert together == pytest.approx(sum(alone) / 2, rel=1e-4)  # divided by twice the queries


def test_a_part_of_a_part_learns_alone(annotations):
    model = build_tiny_ovformer()

    def learning(part):
        config = replace(CONFIG, model=replace(CONFIG.model, parts=(part,)))
        network_objective(config, model, lambda: training_set(annotations, model))
        return {name for name, weight in model.network.named_parameters() if weight.requires_grad}

    names = [name for name, _ in model.network.named_parameters()]
    assert learning("class_head") == {name for name in names if name.startswith("class_head.")}
    aligning = {name for name in names if name.startswith("class_head.alignment.")}
    assert aligning and learning("class_head.alignment") == aligning
    with pytest.raises(InputError, match=r"has no 'class_head.alignmen'; did you mean class_head.alignment"):
        learning("class_head.alignmen")
    with pytest.raises(InputError, match=r"has no 'clas_head.mlp'; did you mean class_head"):
        learning("clas_head.mlp")


def test_clip_vis_sees_frames_one_by_one(annotations):
    model = build_tiny()
    data = training_set(annotations, model)
    objective = network_objective(replace(CONFIG, model=ModelConfig()), model, lambda: data)
    total, parts = objective(batch_of(data, 0, 2))
    assert set(parts) == {"object", "iou", "mask", "dice"}
    assert total.isfinite()


def test_compiling_is_passed_on_and_needs_a_compiler(monkeypatch, annotations):
    model = build_tiny()
    config = TrainConfig(run=RunConfig(compile=True), loss=LossConfig(points=100))
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match=r"there is no .*g\+\+, clang"):
        network_objective(config, model, lambda: training_set(annotations, model))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    network_objective(config, model, lambda: training_set(annotations, model))
    layers = [part for part in model.modules() if isinstance(part, DeformableAttention)]
    assert layers and all(layer.compiled for layer in layers)


@pytest.mark.slow
def test_a_tiny_ovformer_overfits(annotations, monkeypatch):
    """Through the engine: windows of two frames are found and named after some steps from nothing."""
    network = tiny_ovformer_config(decoder_layers=3, queries=5)
    config = TrainConfig(
        model=ModelConfig("ovformer-tiny", "untrained", network=network),
        data=DataConfig(train=("painted",), sampling=SamplingConfig(2), augment=AUGMENT),
        loss=LossConfig(points=200, label_sample=None),
        optimizer=replace(TrainConfig().optimizer, rate=2e-3, backbone_rate=0.5, decay_at=(0.9,)),
        run=RunConfig(steps=40, batch=2, workers=0, clip_gradients=1.0, log_every=10, save_every=40),
        validation=ValidationConfig(pictures=1, every=40, short_edge=64),
    )
    monkeypatch.setattr("ovvis.training.build.open_dataset", lambda *names: annotations)
    model = build_tiny_ovformer(decoder_layers=3, queries=5)
    fabric = make_fabric("32-true", "cpu")
    built = build_task(config, model, fabric)
    lines = []
    outcome = train(built.task, config, fabric, annotations.frames / "run", show=lines.append)
    assert outcome.finished
    first, last = lines[0].losses, lines[-1].losses
    assert all(last[name] < first[name] for name in first), (first, last)
    assert sum(last.values()) < 0.6 * sum(first.values())
    model.eval()
    named, overlaps = [], []
    known = trained_labels(config.model, model, built.data)
    unseen = known.weights == 0  # to this untrained CLIP its word is nearly the others'
    for video in range(3):
        batch = batch_of(built.data, video)
        with torch.no_grad():
            images = model.clip.embed_images(batch.views)
            found = model(network_input(batch, model.pixel_mean, model.pixel_std), images=images)
            labels = model.classifier(found, known.text)[0].masked_fill(unseen, -torch.inf).argmax(-1)
        logits = torch.nn.functional.interpolate(found.mask_logits[0], batch.targets[0].masks.shape[-2:]) > 0
        for mask, label in zip(batch.targets[0].masks, batch.targets[0].labels, strict=True):
            both, either = ((mask & logits).sum((1, 2, 3)), (mask | logits).sum((1, 2, 3)))
            overlap, query = (both / either).max(0)
            overlaps.append(float(overlap))
            named.append(bool(labels[query] == label))
    assert sum(overlaps) / len(overlaps) > 0.6
    assert all(named)
    assert list((annotations.frames / "run" / "pictures").iterdir())


def test_a_network_without_a_loss_is_refused():
    with pytest.raises(InputError, match="fc-clip-tiny cannot be trained here"):
        network_objective(CONFIG, build_tiny_fc_clip(), lambda: None)
