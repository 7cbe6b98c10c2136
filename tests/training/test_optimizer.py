import copy

import pytest
import torch
from torch import nn

from fakes import build_tiny
from ovvis.training.optimizer import BatchedMuon, OptimizerConfig, build_optimizer, rate_factor, trainable


def test_what_is_decayed_in_clip_vis():
    """The released groups: norms and the decoder's embeddings are not decayed, biases and the encoder's code are."""
    network = build_tiny().network
    kinds = {name: decayed for name, _, decayed in trainable(network)}
    assert set(kinds) == {name for name, _ in network.named_parameters()}
    for name, decayed in (
        ("query_decoder.query_features", False),
        ("query_decoder.query_code", False),
        ("query_decoder.level_code", False),
        ("query_decoder.norm.weight", False),
        ("query_decoder.norm.bias", False),
        ("query_decoder.layers.0.cross_norm.bias", False),
        ("query_decoder.layers.0.feed_forward.norm.weight", False),
        ("query_decoder.layers.0.cross.query.weight", True),
        ("query_decoder.layers.0.cross.query.bias", True),
        ("pixel_decoder.level_code", True),
        ("pixel_decoder.project.0.0.bias", True),
        ("pixel_decoder.project.0.1.weight", False),
        ("pixel_decoder.lateral.1.bias", False),
        ("object_head.mlp.layers.2.bias", True),
    ):
        assert kinds[name] == decayed, name
    # Bare parameters must be sorted by hand: whoever adds one decides whether it is an embedding.
    bare = {name for name in kinds if name.rsplit(".", 1)[-1] not in ("weight", "bias")}
    assert bare == {
        "pixel_decoder.level_code",
        "query_decoder.query_features",
        "query_decoder.query_code",
        "query_decoder.level_code",
    }


@pytest.mark.parametrize("whole", [True, False])
def test_clip_is_absent(whole):
    """Of a whole model as of its network alone: no rate, no state for what is frozen."""
    model = build_tiny()
    optimizer = build_optimizer(model if whole else model.network, OptimizerConfig())
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in model.network.parameters()}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(held)
    assert [(group["lr"], group["weight_decay"]) for group in optimizer.param_groups] == [(1e-4, 0.05), (1e-4, 0.0)]


class Trained(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.words = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 2)
        self.twin = self.head  # a shared module counts once


def test_a_trained_backbone_learns_slower():
    network = Trained()
    optimizer = build_optimizer(network, OptimizerConfig(rate=1.0))
    groups = {(g["lr"], g["weight_decay"]): g["params"] for g in optimizer.param_groups}
    assert {key: len(value) for key, value in groups.items()} == {
        (1.0, 0.05): 2,
        (1.0, 0.0): 1,
        (0.1, 0.05): 2,
        (0.1, 0.0): 2,
    }
    assert groups[1.0, 0.0][0] is network.words.weight


def test_muon_takes_the_weights_of_two_dimensions():
    torch.manual_seed(0)  # of a gradient with one singular value near zero Muon makes no orthogonal matrix
    network = Trained()
    optimizer = build_optimizer(network, OptimizerConfig(kind="muon", rate=1e-2, weight_decay=0.1))
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    network.head(network.words(torch.tensor([1, 2]))).square().sum().backward()
    optimizer.step()
    moved = {name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {"head.weight", "head.bias", "words.weight"}
    change = (network.head.weight - before["head.weight"] * (1 - 1e-2 * 0.1)) / 1e-2
    # An orthogonal 2 x 4 matrix, scaled by 0.2 * sqrt(4): as large as AdamW's usual update.
    sizes = torch.linalg.svdvals(change)
    assert ((sizes > 0.6 * 0.4) & (sizes < 1.3 * 0.4)).all()


def test_batched_muon_is_pytorchs():
    generator = torch.Generator().manual_seed(0)
    sizes = [(8, 6), (6, 8), (8, 6), (5, 5)]
    ours = [torch.randn(size, generator=generator).requires_grad_() for size in sizes]
    theirs = [weight.detach().clone().requires_grad_() for weight in ours]
    options = {"lr": 0.1, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    one, other = BatchedMuon(ours, **options), torch.optim.Muon(theirs, **options)
    for _ in range(3):
        for mine, their in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            their.grad = mine.grad.clone()
        before = [weight.detach().clone() for weight in ours]
        one.step()
        other.step()
        for mine, their, old in zip(ours, theirs, before, strict=True):
            assert (mine - old).norm() > 0.05
            assert (mine - their).norm() < 0.02 * (mine - old).norm()  # bfloat16
    states = one.state_dict()["state"], other.state_dict()["state"]
    for key, state in states[1].items():
        torch.testing.assert_close(states[0][key]["momentum_buffer"], state["momentum_buffer"])


def test_muon_goes_on_where_it_was():
    def step(network, optimizer, factor=1.0):
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * factor
        optimizer.zero_grad()
        network.head(network.words(torch.tensor([1, 2]))).square().sum().backward()
        optimizer.step()

    config = OptimizerConfig(kind="muon")
    torch.manual_seed(0)
    one = Trained()
    other = copy.deepcopy(one)
    first = build_optimizer(one, config)
    step(one, first)
    state = copy.deepcopy(first.state_dict())
    other.load_state_dict(one.state_dict())
    second = build_optimizer(other, config)
    second.load_state_dict(state)
    for network, optimizer in ((one, first), (other, second)):
        step(network, optimizer, 0.5)  # the rate must reach what was loaded
    for name, weight in one.named_parameters():
        assert torch.equal(weight, other.get_parameter(name)), name


def test_nothing_to_train():
    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer(nn.Linear(2, 2).requires_grad_(False), OptimizerConfig())


def test_the_released_schedule():
    config = OptimizerConfig()
    factors = [rate_factor(step, 368_750, config) for step in (0, 10, 327_777, 327_778, 355_091, 355_094, 368_749)]
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(
    "wrong", [{"rate": -1.0}, {"decay": 0.0}, {"warmup_from": 2.0}, {"decay_at": (0.9, 0.5)}, {"decay_at": (1.5,)}]
)
def test_a_config_is_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OptimizerConfig(**wrong)
