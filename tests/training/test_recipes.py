from dataclasses import asdict, replace

import pytest

from ovvis.datasets.catalog import entry
from ovvis.models.zoo import ZOO
from ovvis.training.data.live_scenes import LIVE
from ovvis.training.optimizer import rate_factor
from ovvis.training.recipes import load_config, recipes

PUBLISHED = {
    "clip-vis-r50-lvis": "clip-vis-r50",
    "clip-vis-convnext-b-lvis": "clip-vis-convnext-b",
    "clip-vis-r50-ytvis19": "clip-vis-r50-ytvis19",
    "clip-vis-convnext-b-ytvis19": "clip-vis-convnext-b-ytvis19",
    "ovformer-r50-lvis": "ovformer-r50-lvis",
    "ovformer-swin-b-lvis": "ovformer-swin-b-lvis",
    "ovformer-r50-lvvis": "ovformer-r50",
    "ovformer-swin-b-lvvis": "ovformer-swin-b",
    "ov2seg-r50-lvis": "ov2seg-r50",
    "ov2seg-swin-b-lvis": "ov2seg-swin-b",
}

STICKERS = (
    "clip-stickers-stills",
    "clip-stickers-groups",
    "clip-stickers",
    "clip-stickers-gpu",
    "clip-vis-stickers-half",
    "clip-vis-stickers-whole",
    "clip-vis-stickers",
    "clip-vis-stickers-gpu",
    "ovformer-stickers",
    "ovformer-stickers-images",
    "ovformer-stickers-images-short",
    "ovformer-stickers-video",
    "ovformer-stickers-video-short",
    "ov2seg-stickers",
)

UNPUBLISHED = (  # runs of the papers whose weights are not published
    "clip-vis-r50-coco",
    "clip-vis-convnext-b-coco",
    "ovformer-r50-ytvis19",
    "ovformer-r50-ytvis19-closed",
    "ov2seg-r50-lvvis",
)


def test_there_is_one_for_each_published_run():
    assert set(recipes()) == {*PUBLISHED, *UNPUBLISHED, *STICKERS, "finetune-own"}


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_short_and_says_what_it_is_for(name):
    lines = recipes()[name].read_text().splitlines()
    assert len(lines) <= 21
    head = [line for line in lines[:6] if line.startswith("# ")]
    assert any("Expected AP" in line for line in head)
    assert any("GPU time" in line and ("estimated" in line or "measured" in line) for line in head)
    assert any(f"ovvis train {name}" in line for line in head)
    about = load_config(name).about
    assert about.reproduces and about.expected and about.gpu_time


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_names_datasets_and_a_model_that_there_are(name):
    config = load_config(name)
    network, own = asdict(config.model.network), asdict(ZOO[config.model.name].config)
    if name.startswith("ovformer-stickers-images"):  # what no tensor tells, as the image-trained models have it
        images = asdict(ZOO["ovformer-r50-lvis"].config)
        own |= {key: images[key] for key in ("temporal", "window", "momentum", "choice")}
    assert network == own
    for dataset in (*config.data.train, config.validation.dataset):
        if dataset not in ("own.json", "", *LIVE):
            entry(dataset)


@pytest.mark.parametrize(("name", "model"), PUBLISHED.items())
def test_the_expected_ap_is_the_papers(name, model):
    """As the zoo has it, in the recipe's first lines."""
    assert load_config(name).model.name == model
    text = recipes()[name].read_text()
    for column, ap in ZOO[model].published_ap.items():
        assert (f"{column} {ap}" if column != "LV-VIS test" else f"test {ap}") in text


def test_the_published_schedule():
    lvis = load_config("clip-vis-r50-lvis")
    assert (lvis.run.steps, lvis.run.batch, lvis.optimizer.rate) == (368_750, 8, 1e-4)
    assert [round(share * lvis.run.steps) for share in lvis.optimizer.decay_at] == [327_778, 355_093]
    assert lvis.data.augment.size == 1024
    # The paper's text: epochs 26 and 28 of 30; the released file's, by name, is the recipe's own.
    for schedule, falls in (("paper", [319_583, 344_167]), ("released", [327_778, 355_093])):
        named = load_config("clip-vis-r50-lvis", [f"optimizer.schedule={schedule}"])
        rates = [rate_factor(step, named.run.steps, named.optimizer) for fall in falls for step in (fall - 1, fall)]
        assert rates == pytest.approx([1, 0.1, 0.1, 0.01])
    video = load_config("clip-vis-convnext-b-ytvis19")
    assert (video.run.steps, video.optimizer.rate) == (6000, 5e-5)
    assert [share * video.run.steps for share in video.optimizer.decay_at] == [5400]
    assert video.model.network.decoder_layers == 9
    assert load_config("clip-vis-convnext-b-coco").model.network.clip == "convnext_base_w_320"


@pytest.mark.parametrize("backbone", ["r50", "swin-b"])
def test_the_published_schedule_of_ovformer(backbone):
    images, video = load_config(f"ovformer-{backbone}-lvis"), load_config(f"ovformer-{backbone}-lvvis")
    ov2seg = load_config(f"ov2seg-{backbone}-lvis")
    for config in (images, video, ov2seg):
        assert (config.run.batch, config.optimizer.rate, config.optimizer.backbone_rate) == (8, 1e-4, 0.1)
        assert (config.run.clip_gradients, config.optimizer.weight_decay) == (0.01, 0.05)
        assert config.validation.short_edge == config.model.network.short_edge
        loss = config.loss
        assert (loss.object, loss.label, loss.label_scale, loss.mask, loss.dice) == (2, 2, 1.7, 5, 5)
        assert (loss.label_sample, loss.points) == (50, 12_544)
    assert (images.run.steps, images.data.sampling.frames, images.data.augment.size) == (442_500, 1, 1024)
    assert [round(share * images.run.steps) for share in images.optimizer.decay_at] == [398_250, 420_375]
    assert images.model.backbone == ov2seg.model.backbone == "imagenet-21k"
    assert images.data.train == ov2seg.data.train == ("lvis_v1_train_norare",)
    assert (video.run.steps, video.data.sampling.frames, video.data.sampling.frame_range) == (2000, 2, 20)
    assert [share * video.run.steps for share in video.optimizer.decay_at] == [1000]
    assert video.data.augment.short_edges == (360, 480)
    assert video.model.weights == f"ovvis-train-ovformer-{backbone}-lvis"  # what the other recipe leaves by default
    assert video.data.train == ("lvvis_train_base",)
    assert [round(share * ov2seg.run.steps) for share in ov2seg.optimizer.decay_at] == [327_778, 355_093]
    assert (ov2seg.model.network.queries, ov2seg.model.network.decoder_layers) == (300, 6)
    assert (images.model.network.temporal, video.model.network.temporal) == (False, True)


def test_the_papers_other_runs_on_video():
    """OVFormer on YouTube-VIS 2019, open and closed (Table 3), and OV2Seg fine-tuned frame by frame (Table 1)."""
    video = load_config("ovformer-r50-lvvis")
    runs = {name: load_config(name) for name in UNPUBLISHED[2:]}
    for config in runs.values():
        assert (config.optimizer, config.run, config.loss) == (video.optimizer, video.run, video.loss)
        assert config.data.augment == video.data.augment and config.data.choice.keep_empty
        assert config.validation.short_edge == config.model.network.short_edge
    opened, closed, ov2seg = runs.values()
    assert opened.model == closed.model == video.model
    assert opened.data.train == closed.data.train == ("ytvis_2019_train",)
    assert (opened.data.choice.groups, closed.data.choice.groups) == (("base",), ())
    assert entry("ytvis_2019_train").vocabulary == "ytvis_2019"  # which tells base and novel
    assert (opened.data.sampling.frames, ov2seg.data.sampling.frames) == (2, 1)
    assert (ov2seg.model.name, ov2seg.model.weights) == ("ov2seg-r50", "published")
    assert ov2seg.data.train == ("lvvis_train_base",)


@pytest.mark.parametrize("length", ["", "-short"])
def test_the_two_stages_of_the_small_ovformer(length):
    """Images with alignment from OV2Seg's weights, then windows of two for a short time, as the paper trains it."""
    images, video = (load_config(f"ovformer-stickers-{stage}{length}") for stage in ("images", "video"))
    assert (images.model.decoders, images.model.weights) == ("ov2seg-stickers", "clip")
    assert (images.data.sampling.frames, video.data.sampling.frames) == (1, 2)
    assert images.model.network.alignment == video.model.network.alignment == "released"
    assert video.model.weights == f"ovvis-train-ovformer-stickers-images{length}"  # what stage one leaves by default
    assert video.model.network == ZOO["ovformer-stickers"].config
    assert images.optimizer.backbone_rate == video.optimizer.backbone_rate == 0.1
    if length:  # few steps: the rate falls all the way
        assert images.optimizer.schedule == video.optimizer.schedule == "cosine"
    else:
        assert (video.optimizer.schedule, video.optimizer.decay_at) == ("steps", (0.5,))
    assert video.optimizer.rate <= images.optimizer.rate
    assert video.run.steps < images.run.steps


def test_the_small_models_of_all_families_see_the_same_world():
    clip_vis, last = load_config("clip-vis-stickers-whole"), load_config("clip-vis-stickers")
    ovformer, ov2seg = load_config("ovformer-stickers"), load_config("ov2seg-stickers")
    assert replace(last.optimizer, rate=0) == replace(clip_vis.optimizer, rate=0) and last.model == clip_vis.model
    assert last.data.train == ("stickers_live", "stickers_live_crossing")
    longer = load_config("clip-vis-stickers-gpu")
    assert (longer.model, longer.data, longer.loss) == (last.model, last.data, last.loss)
    for other in (ovformer, ov2seg):
        assert other.run.batch * other.data.sampling.frames == 32
        assert other.data.train == clip_vis.data.train
        assert replace(other.optimizer, rate=0) == replace(clip_vis.optimizer, rate=0)
        for size in ("clip", "width", "queries", "decoder_layers", "pixel_layers", "short_edge"):
            assert getattr(other.model.network, size) == getattr(clip_vis.model.network, size)
    assert (ovformer.model.network.alignment, ov2seg.model.network.alignment) == ("released", "none")
