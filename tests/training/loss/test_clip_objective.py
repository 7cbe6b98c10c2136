"""Training a CLIP for mask pooling."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fakes import build_tiny, tiny_config
from ovvis.errors import InputError
from ovvis.structures import Target
from ovvis.training import build
from ovvis.training.clip_start import clip_objective
from ovvis.training.clip_words import PROMPTS, Words, foreign_words
from ovvis.training.config import DataConfig, ModelConfig, RunConfig, TrainConfig, ValidationConfig
from ovvis.training.data.dataset import TrainingSet
from ovvis.training.data.live_scenes import live_part
from ovvis.training.data.loader import LoaderConfig, WindowLoader
from ovvis.training.data.sampling import SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from ovvis.training.devices import make_fabric
from ovvis.training.loop import train
from ovvis.training.loss.clip_objective import Anchors, ClipConfig, ClipObjective, as_cells, regions
from ovvis.training.optimizer import OptimizerConfig, build_optimizer
from ovvis.training.start import starting_model, trained_model
from ovvis.vocabulary import Vocabulary
from tiny_world import tiny_sprites

STILLS = AugmentConfig("short_edge", short_edges=(64,), flip=0.5)


def stills(batch):
    part = live_part("stickers_live_stills", STILLS, sprites=tiny_sprites())
    return TrainingSet([part], SamplingConfig(2), seed=3), LoaderConfig(0), batch


def build_objective(labels, **terms):
    model = build_tiny()
    model.network.requires_grad_(False)
    model.clip.thaw()
    torch.manual_seed(0)
    model.anchors = Anchors(len(labels), model.clip.width)
    config = ClipConfig(**({"texts": 6, "foreign": 3, "least_area": 20} | terms))
    return model, ClipObjective(model, Words(labels), config, seed=4)


def test_it_learns_names_and_leaves_the_network_alone():
    data, loading, batch = stills(8)
    model, objective = build_objective(data.labels)
    kept = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    batches = WindowLoader(data, batch, loading).batches()
    optimizer = build_optimizer(model, OptimizerConfig(rate=3e-3))
    objective.train()
    seen = []
    for _ in range(40):
        total, parts = objective(next(batches))
        assert torch.isclose(total.detach(), sum(parts.values()))
        seen.append(parts)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    for name in ("text", "region", "anchor", "text_anchor"):
        first, last = (np.mean([float(p[name]) for p in part]) for part in (seen[:5], seen[-5:]))
        assert last < 0.85 * first, name
    assert all(torch.equal(kept[name], tensor) for name, tensor in model.network.state_dict().items())


def test_a_batch_gives_the_same_loss_whenever_it_is_asked():
    data, loading, batch = stills(3)
    _, objective = build_objective(data.labels)
    objective.eval()
    one = next(WindowLoader(data, batch, loading).batches())
    torch.manual_seed(1)
    first = objective(one)[1]
    torch.manual_seed(2)
    assert {name: float(x) for name, x in first.items()} == {name: float(x) for name, x in objective(one)[1].items()}


def test_terms_by_hand():
    """One region that is exactly its word, at right angles to all others."""
    _, objective = build_objective(("a", "b", "c"), texts=3, foreign=1)
    objective.model.clip.model.logit_scale.data.fill_(np.log(10.0))
    unit = torch.eye(objective.model.clip.width)
    objective.model.anchors.embedding.weight.data.copy_(unit[:3])
    objective.model.anchors.none.data.fill_(0.5)
    pooled = torch.stack([unit[1], unit[7], unit[1]])[None]  # the whole image, its background, its region
    labels = torch.tensor([[1]])
    with torch.no_grad():
        terms = objective._terms(pooled, labels, unit[[1, 0, 2, 6]], torch.tensor([1, 0, 2]))
    e10, e5, e20 = np.exp(10.0), np.exp(5.0), np.exp(20.0)
    wanted = {
        "text": -np.log(e10 / (e10 + 3 + e5)),
        "region": 0.0,  # the only region of its text
        "anchor": -np.log(e20 / (e20 + 2)),
        "text_anchor": 0.5 * -np.log(e20 / (e20 + 2)),
        "none": 0.25 * (-np.log(e5 / (e5 + 3)) - np.log(e5 / (e5 + 4))) / 2,
        "image": 0.1 * -np.log(e10 / (e10 + 3)),
    }
    for name, value in wanted.items():
        assert np.isclose(float(terms[name]), value, atol=1e-5), name


def test_cells_are_those_of_the_classifier_and_never_none():
    masks = torch.zeros(3, 96, 128, dtype=torch.bool)
    masks[0, 20:80, 10:100] = True
    masks[1, 34:40, 70:76] = True  # covers no cell's middle
    masks[2, 0:64, 0:32] = True
    cells = as_cells(masks, (3, 4))
    logits = F.avg_pool2d(masks.float()[None], 4) * 20 - 10
    asked = F.interpolate(logits, size=(3, 4), mode="bilinear", align_corners=False)[0] > 0
    assert torch.equal(cells[[0, 2]], asked[[0, 2]]) and not asked[1].any()
    assert cells[1].nonzero().tolist() == [[1, 2]]


def test_small_regions_are_left_out():
    masks = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    masks[0, 0, :5, :5] = True
    masks[1, 0, 32:, 32:] = True
    target = Target(masks, torch.tensor([4, 9]), torch.tensor([0, 1]))
    empty = Target(masks[:0], target.labels[:0], target.ids[:0])
    cells, labels = regions((target, empty), least_area=30)
    assert labels.tolist() == [[9], [-1]]
    assert cells[0].int().tolist() == [[[1, 1], [1, 1]], [[1, 1], [1, 0]], [[0, 0], [0, 1]]]
    assert cells[1, :2].all()


def test_a_clip_has_nothing_to_compile():
    config = TrainConfig(trains="clip", run=RunConfig(compile=True))
    with pytest.raises(InputError, match=r"run\.compile is for a network"):
        clip_objective(config, build_tiny(), ["dog"])


def test_words():
    rng = np.random.default_rng(0)
    words = Words(["airplane", "abacus"])
    asked = {words.text(0, rng) for _ in range(300)}
    assert any("jet" in text for text in asked) and any("airplane" in text for text in asked)
    assert len(asked) > 2 * len(PROMPTS)
    own = {
        w for label in Vocabulary.builtin("stickers", synonyms=True) for word in label.synonyms for w in word.split()
    }
    met, never = set(foreign_words()), set(foreign_words(held_out=True))
    assert not met & never and len(met) > 2 * len(never) > 200
    assert not own & {part for word in met | never for part in word.split()}


def test_a_thawed_clip_follows_the_mode_and_a_frozen_one_does_not():
    clip = build_tiny().clip
    clip.train()
    assert not clip.model.training and not any(p.requires_grad for p in clip.parameters())
    clip.thaw()
    clip.train()
    assert clip.model.training and all(p.requires_grad for p in clip.parameters())
    assert not clip.eval().model.training


@pytest.mark.parametrize("onwards", [False, True])
def test_a_run_keeps_the_clip_that_it_trains(tmp_path, monkeypatch, onwards):
    """From nothing, and from the folder of a run before: the checkpoint and the exported model have the CLIP."""
    monkeypatch.setattr(build, "live_part", partial(live_part, sprites=tiny_sprites()))
    config = TrainConfig(
        model=ModelConfig("clip-vis-stickers", "untrained", network=tiny_config()),
        trains="clip",
        data=DataConfig(train=("stickers_live_stills",), augment=STILLS),
        clip=ClipConfig(texts=6, foreign=3, least_area=20),
        run=RunConfig(steps=2, batch=3, workers=0, save_every=1),
        validation=ValidationConfig(pictures=0),
    )
    fabric = make_fabric("32-true", "cpu")

    def run(config, folder):
        model = starting_model(config)
        before = {name: tensor.clone() for name, tensor in model.clip.state_dict().items()}
        train(build.build_task(config, model, fabric).task, config, fabric, folder)
        return before, model.clip.state_dict()

    before, after = run(config, tmp_path / "first")
    if onwards:
        config = replace(config, model=replace(config.model, weights=str(tmp_path / "first")))
        (before, ended), started = run(config, tmp_path / "second"), after
        assert all(torch.equal(before[name], started[name]) for name in before)
        after = ended
    assert not torch.equal(before["model.visual.conv1.weight"], after["model.visual.conv1.weight"])
    assert not torch.equal(before["model.token_embedding.weight"], after["model.token_embedding.weight"])
    folder = tmp_path / ("second" if onwards else "first")
    found = trained_model(folder)[0].state_dict()
    assert all(torch.equal(found[f"clip.{name}"], after[name]) for name in after)
    assert not any(name.startswith("anchors") for name in found)
