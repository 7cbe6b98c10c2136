import pytest
import torch

from ovvis.models.heads import ClassHead, MaskIouHead, PooledClassHead

# Two frames of two cells with two features; the first query's mask is the left cell of both frames and the right one of
# the second, the other query's is empty.
FEATURES = torch.tensor([[[[1.0, -9.0]], [[2.0, 5.0]]], [[[3.0, 4.0]], [[4.0, 6.0]]]])[None]  # 1, T, D, 1, 2
EMBEDDINGS = torch.tensor([[[1.0, 0.0], [-1.0, -1.0]]])  # 1, Q, D
MEANS = torch.tensor([[[8 / 3, 4.0], [-9.0, 5.0]]])


def reader():
    """Return a head that answers with the second of the features it reads."""
    head = MaskIouHead(2, "relu", "pixels")
    head.mlp = torch.nn.Linear(2, 1, bias=False)
    head.mlp.weight.data = torch.tensor([[0.0, 1.0]])
    return head


def test_pixels_are_the_mean_under_the_mask():
    masks = torch.einsum("bqd,btdhw->bqthw", EMBEDDINGS, FEATURES) > 0
    assert masks[0].flatten(1).tolist() == [[True, False, True, True], [False, True, False, False]]
    queries = torch.full((1, 2, 2), torch.nan)  # not looked at
    assert torch.allclose(reader()(queries, EMBEDDINGS, FEATURES), MEANS[..., 1])
    layers = torch.stack([EMBEDDINGS, EMBEDDINGS.flip(1), -0.0 * EMBEDDINGS])
    wanted = torch.stack([MEANS[..., 1], MEANS[..., 1].flip(1), torch.zeros(1, 2)])  # an empty mask: nothing
    assert torch.allclose(reader()(queries, layers, FEATURES), wanted)


def test_gradients_reach_the_features_and_not_the_mask():
    features, embeddings = FEATURES.clone().requires_grad_(), EMBEDDINGS.clone().requires_grad_()
    reader()(torch.zeros(1, 2, 2), embeddings, features).sum().backward()
    assert embeddings.grad is None
    assert torch.allclose(features.grad[0, :, 1, 0], torch.tensor([[1 / 3, 1.0], [1 / 3, 1 / 3]]))
    assert not features.grad[0, :, 0].any()


@pytest.mark.parametrize(("activation", "bound"), [("sigmoid", 1.0), ("relu", torch.inf)])
def test_queries_are_read_alone(activation, bound):
    head = MaskIouHead(4, activation)
    given = torch.randn(3, 2, 5, 4)
    nothing = torch.full((1,), torch.nan)
    out = head(given, nothing, nothing)
    assert out.shape == (3, 2, 5) and (out >= 0).all() and (out <= bound).all()


def authors_class_embedding(head, queries, images):
    """The released way, with PyTorch's own attention, for one layer: B, Q, D to B, Q, E."""
    own = head.alignment.attention
    theirs = torch.nn.MultiheadAttention(16, 8)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([own.query.weight, own.key.weight, own.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([own.query.bias, own.key.bias, own.value.bias]))
        theirs.out_proj.load_state_dict(own.out.state_dict())
    x = head.mlp(queries).transpose(0, 1)  # their order: Q, B, E
    seen = theirs(x, images.transpose(0, 1), images.transpose(0, 1))[0]
    return head.alignment.norm(x + seen).transpose(0, 1)


@torch.no_grad()
def test_released_alignment():
    torch.manual_seed(0)
    head = ClassHead(6, 16, "released").eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, 0, 0.3)
    queries, images = torch.randn(3, 2, 5, 6), torch.randn(2, 4, 16)  # L, B, Q, D and B, T, E
    wanted = torch.stack([authors_class_embedding(head, layer, images) for layer in queries])
    assert torch.allclose(head(queries, images), wanted, atol=1e-5)
    assert torch.allclose(head(queries[1], images), wanted[1], atol=1e-5)


@torch.no_grad()
def test_the_papers_alignment():
    torch.manual_seed(0)
    head = ClassHead(6, 16, "paper").eval()
    queries, images = torch.randn(2, 5, 6), torch.randn(2, 3, 16)
    key, value = head.alignment.key(images), head.alignment.value(images)
    wanted = (head.mlp(queries) @ key.mT / 16**0.5).softmax(-1) @ value  # eq. 7
    assert torch.allclose(head(queries, images), wanted, atol=1e-5)
    # A softmax over one frame is 1 whatever the query.
    alone = head(queries, images[:, :1])
    assert torch.allclose(alone, value[:, :1].expand_as(alone), atol=1e-5)


def test_without_alignment_the_query_speaks_alone():
    head = ClassHead(6, 16, "none")
    queries = torch.randn(2, 5, 6)
    assert head.alignment is None
    assert torch.equal(head(queries, None), head.mlp(queries))
    with pytest.raises(ValueError, match="embeddings of the frames"):
        ClassHead(6, 16, "released")(queries, None)


@torch.no_grad()
def test_a_pooled_class_head_adds_what_lies_under_the_mask():
    torch.manual_seed(0)
    head = PooledClassHead(4, 6)
    queries, features = torch.randn(1, 2, 4), torch.randn(1, 1, 4, 2, 3)
    everywhere = torch.stack([torch.zeros(4), torch.zeros(4)])[None]  # a product of 0 is no part of the mask
    assert torch.allclose(head(queries, everywhere, features), head.embed(queries, torch.zeros(1, 2, 4)))
    one = features[0, 0, :, 1, 2][None, None].expand(1, 2, 4)
    inside = torch.einsum("d,dhw->hw", one[0, 0], features[0, 0]) > 0
    mean = features[0, 0][:, inside].mean(1).expand(1, 2, 4)
    assert torch.allclose(head(queries, one, features), head.embed(queries, mean), atol=1e-5)
