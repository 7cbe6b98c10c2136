"""What every family must do, whatever it is made of: one suite for all."""

import gc
import json
import time
from contextlib import suppress
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

import ovvis
from fakes import build_tiny, build_tiny_fc_clip, build_tiny_ov_dvis, build_tiny_ovformer
from ovvis.errors import InputError
from ovvis.masks import decode
from ovvis.models.checkpoint import write_checkpoint
from ovvis.models.settings import with_tracker
from ovvis.outputs.formats.tracks_json import save_tracks

BUILDERS = {
    "clip-vis": build_tiny,
    "ovformer": build_tiny_ovformer,
    "ovformer-lvis": lambda **changes: build_tiny_ovformer(
        **{"temporal": False, "window": 1, "momentum": 0.7, "choice": "quality"} | changes
    ),
    "ovformer-paper": lambda **changes: build_tiny_ovformer(
        **{"alignment": "paper", "class_score": "softmax", "weighting": "paper"} | changes
    ),
    "ov2seg": lambda **changes: build_tiny_ovformer(
        **{"alignment": "none", "temporal": False, "window": 1, "momentum": 0.7, "choice": "quality"} | changes
    ),
    "fc-clip": build_tiny_fc_clip,
    "fc-clip-convnext": lambda **changes: build_tiny_fc_clip("tiny-convnext", **changes),
    "ov-dvis": build_tiny_ov_dvis,
    "ov-dvis-convnext": lambda **changes: build_tiny_ov_dvis("tiny-convnext", **changes),
    "ov-dvis-offline": lambda **changes: build_tiny_ov_dvis(**{"refined": True} | changes),
    "ov-dvis-offline-convnext": lambda **changes: build_tiny_ov_dvis("tiny-convnext", **{"refined": True} | changes),
}
FRAME_BY_FRAME = ("clip-vis", "fc-clip", "ov-dvis")  # families that name windows of one frame only
TRAINED = [name for name in BUILDERS if not name.startswith(("fc-clip", "ov-dvis"))]  # for which there is a loss
# Windows that a family takes; None is the whole video.
WINDOWS = [
    (name, window) for name in BUILDERS for window in ((1,) if name.startswith(FRAME_BY_FRAME) else (1, 2, 3, None))
]


@pytest.fixture(scope="module", params=list(BUILDERS))
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name):
    return BUILDERS[name]().for_inference(torch.device("cpu"), torch.float32)


def frames(count, height=48, width=80, seed=0):
    """Return smooth noise that moves a little from frame to frame."""
    rng = np.random.default_rng(seed)
    big = rng.integers(0, 256, (height // 8 + 2, width // 8 + 3, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(big[t : t + height, 2 * t % 16 :][:, :width]) for t in range(count)]


def segmenter(model, **options):
    fixed = {"short_edge": 0, "max_tracks": 10, "prompts": ["a {}"], "cache": False}
    return ovvis.VideoSegmenter(model, ["dog", ("cat", "kitten"), "red kettle"], **(fixed | options))


def with_window(model, window):

    return replace(model.video, window=window)


def images_for(model, batch, count):
    """Return something in the place of CLIP's embeddings of the frames, for models that ask for them."""
    if model.view_side is None:
        return None
    return torch.randn(batch, count, model.clip.width, generator=torch.Generator().manual_seed(1))


def seen(result):
    return [(t.id, t.label, round(t.score, 5), [m and m["counts"] for m in t.masks]) for t in result.tracks]


@torch.no_grad()
def test_forward(name, model):
    window = model.video.window
    pixels = torch.randn(2, window, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    images = images_for(model, 2, window)
    prediction = model(pixels, images=images)
    assert prediction.mask_logits.shape == (2, 6, window, 16, 24)
    # A window knows nothing of the others in its batch.
    alone = model(pixels[1:], images=None if images is None else images[1:])
    assert torch.allclose(alone.mask_logits[0], prediction.mask_logits[1], atol=1e-3)
    if name not in TRAINED:
        assert prediction.object_logits is None
        with pytest.raises(ValueError, match="no loss"):
            model(pixels, True, images)
        return
    assert prediction.object_logits.shape == (2, 6, 2)
    layers = model(pixels, True, images)
    assert layers.mask_embeddings.shape[:3] == (3, 2, 6)
    # Products of other sizes may round otherwise, as they do on an Intel Xeon with AMX.
    torch.testing.assert_close(layers.object_logits[-1], prediction.object_logits, rtol=0, atol=1e-5)
    if prediction.class_embeddings is not None:
        assert prediction.class_embeddings.shape == (2, 6, model.clip.width)
        assert layers.class_embeddings.shape == (3, 2, 6, model.clip.width)
        assert torch.allclose(layers.class_embeddings[-1], prediction.class_embeddings, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_backward_reaches_every_weight_but_clips(name):
    model = BUILDERS[name]().train()
    window = model.video.window
    pixels = torch.randn(1, window, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    layers = model(pixels, True, images_for(model, 1, window))
    parts = [layers.object_logits, layers.mask_embeddings, layers.mask_ious, layers.class_embeddings]
    masks = torch.einsum("lbqd,btdhw->", layers.mask_embeddings, layers.mask_features)
    (masks + sum(part.square().sum() for part in parts if part is not None)).backward()
    missing = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing
    assert all(p.grad is None for p in model.clip.parameters())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    if model.family != "clip-vis":
        assert all(p.grad.abs().sum() > 0 for p in model.network.backbone.parameters())


@pytest.mark.parametrize(("height", "width"), [(37, 53), (65, 33), (32, 64), (1, 90)])
def test_odd_sizes(model, height, width):
    count = 3
    with segmenter(model)([np.full((height, width, 3), 40 * t, np.uint8) for t in range(count)]) as result:
        assert len(result.tracks) == 10
        for track in result.tracks:
            assert len(track.masks) == count
            assert all(decode(mask).shape == (height, width) for mask in track.masks if mask is not None)


def test_an_empty_video(model):
    with pytest.raises(InputError):
        segmenter(model)([])


@pytest.mark.parametrize(("name", "window"), WINDOWS)
@pytest.mark.parametrize("count", [1, 4])
def test_windows_of_any_length(name, window, count):
    """The last window is shorter, and of one frame for 4 frames in windows of 3."""
    model = BUILDERS[name]().for_inference(torch.device("cpu"), torch.float32)
    ask = segmenter(model, settings=with_window(model, window))
    with ask(frames(count)) as result:
        assert result.frame_indices == list(range(count))
        assert len(result.tracks) == 10
        scores = [track.score for track in result.tracks]
        assert scores == sorted(scores, reverse=True) and scores[-1] >= 0 and scores[0] <= 1
        once = seen(result)
    with segmenter(model, settings=with_window(model, window), batch=2)(frames(count)) as result:
        batched = seen(result)
    for one, other in zip(once, batched, strict=True):
        assert one[2] == pytest.approx(other[2], abs=1e-3)


def test_a_stream_gives_a_window_at_a_time(model):
    if model.refiner is not None:
        with pytest.raises(InputError, match="no stream; ask for online"):
            segmenter(model).stream(frames(2))
        return
    given = []

    def source():
        for i, frame in enumerate(frames(7)):
            given.append(i)
            yield frame

    window = model.video.window
    steps = [(result.frame.index, len(given)) for result in segmenter(model).stream(source())]
    assert [index for index, _ in steps] == list(range(7))
    # A frame comes once its window is read, and before the next one is begun.
    assert all(read <= (index // window + 1) * window + 1 for index, read in steps)


def test_a_stream_ends_where_the_file_does(model):
    if model.refiner is not None:
        return  # it has no stream
    clip = frames(5)
    ask = segmenter(model, max_tracks=18)
    with ask(clip) as result:
        best = {track.id: (track.label, track.score) for track in result.best_tracks(0)}
    last = list(ask.stream(clip, min_score=0))[-1]
    assert last.instances
    whole = model.tracker is not None and model.classifier.over_video  # names that wait for the last frame
    if model.video.silence is None and not whole:  # else the file leaves silenced frames' masks out of the score
        for instance in last.instances:
            assert best[instance.id] == (instance.label, pytest.approx(instance.score, abs=1e-5))


def test_bfloat16_and_back(name):
    model = BUILDERS[name]().for_inference(torch.device("cpu"), torch.bfloat16)
    with segmenter(model)(frames(3)) as result:
        assert len(result.tracks) == 10
        assert all(np.isfinite(track.score) for track in result.tracks)


@torch.no_grad()
def test_for_inference_computes_the_same(name):
    model = BUILDERS[name]()
    pixels = torch.randn(1, model.video.window, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    images = images_for(model, 1, model.video.window)
    before = model(pixels, images=images)
    after = model.for_inference(torch.device("cpu"), torch.float32)(pixels, images=images)
    assert torch.allclose(before.mask_logits, after.mask_logits, atol=1e-3)
    assert torch.allclose(before.embeddings, after.embeddings, atol=1e-3)


def test_save_and_load(name, tmp_path):
    model = BUILDERS[name]()
    path = tmp_path / "model.safetensors"

    write_checkpoint(path, model.state_dict(), model.family, asdict(model.config))
    known = f"{model.family}-r50" + ("-offline" if model.refiner is not None else "")
    again = ovvis.load_model(known, path, device="cpu", decoder_layers=2)
    assert (again.config, again.video, again.family) == (model.config, model.video, model.family)
    fast = model.for_inference(torch.device("cpu"), torch.float32)
    with segmenter(fast)(frames(3)) as one, segmenter(again)(frames(3)) as two:
        assert seen(one) == seen(two)


def test_export_of_results(model, tmp_path):
    with segmenter(model)(frames(4)) as result:
        path = tmp_path / "tracks.json"
        save_tracks(result, path)
        written = json.loads(path.read_text())
        assert written["settings"]["model"] == model.name
        assert written["settings"]["tracks"]["window"] == model.video.window
        assert [track["score"] for track in written["tracks"]] == pytest.approx([t.score for t in result.tracks])


def test_a_window_of_no_frame_is_refused(model):
    with pytest.raises(InputError, match="window 0"):
        segmenter(model, settings=with_window(model, 0))


def test_clip_vis_names_frame_by_frame():
    model = build_tiny()
    for window in (2, None):
        with pytest.raises(InputError, match="leave its window at 1"):
            segmenter(model, settings=with_window(model, window))


@pytest.mark.parametrize("name", [name for name in BUILDERS if name.startswith("ov-dvis")])
def test_what_outgrows_memory_changes_nothing(name):
    model = BUILDERS[name]().for_inference(torch.device("cpu"), torch.float32)
    with segmenter(model)(frames(5)) as one, segmenter(model, memory_limit=1)(frames(5)) as two:
        assert seen(one) == seen(two)


def held():
    """Return the bytes of all tensors that somebody holds."""
    gc.collect()
    sizes = {}
    for x in gc.get_objects():
        if type(x) in (torch.Tensor, torch.nn.Parameter):
            with suppress(RuntimeError, UserWarning):  # what compiling leaves behind has no memory of its own
                sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
    return sum(sizes.values())


@pytest.mark.parametrize("name", ["fc-clip", "ov-dvis", "ov-dvis-convnext"])
def test_tensors_do_not_grow_with_the_video(name):
    model = BUILDERS[name]().for_inference(torch.device("cpu"), torch.float32)

    def at_the_end(count):
        sizes = []
        ask = segmenter(model, memory_limit=1)
        with ask(frames(count), on_frame=lambda done: sizes.append(held()) if done == count else None):
            return sizes[0]

    at_the_end(2)
    assert at_the_end(12) == at_the_end(4)
    steps = [held() for result in segmenter(model).stream(frames(12)) if result.frame.index in (3, 11)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize("tracker", ["adjacent", "topk", "longterm", "births", "online", "offline"])
def test_trackers_are_exchanged_where_the_model_has_them(model, tracker):
    settings = with_tracker(model.video, tracker)
    part = {"online": model.tracker, "offline": model.refiner}.get(tracker, model)
    if part is None:
        with pytest.raises(InputError, match=f"tracker {tracker}: .* has none"):
            segmenter(model, settings=settings)
        return
    with segmenter(model, settings=settings)(frames(4)) as result:
        assert len(result.tracks) == 10
        assert result.settings["tracks"]["learnt"] == (tracker if tracker in ("online", "offline") else "none")


def test_a_learnt_tracker_knows_no_births():
    model = build_tiny_ov_dvis()
    with pytest.raises(InputError, match="births and names"):
        segmenter(model, settings=replace(model.video, birth=0.3))
    with pytest.raises(InputError, match="adjacent"):
        with_tracker(model.video, "adjacnt")


def test_stages_of_refining_do_not_count_twice():
    model = build_tiny_ov_dvis(refined=True).for_inference(torch.device("cpu"), torch.float32)
    began = time.perf_counter()
    with segmenter(model)(frames(4)) as result:
        assert "refining" in result.seconds
        assert sum(result.seconds.values()) <= time.perf_counter() - began
