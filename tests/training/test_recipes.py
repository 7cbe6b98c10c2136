import pytest

from ovvis.data.catalog import entry
from ovvis.data.stickers import LIVE
from ovvis.models.zoo import ZOO
from ovvis.training.recipes import load_config, recipes

PUBLISHED = {
    "clip-vis-r50-lvis": "clip-vis-r50",
    "clip-vis-convnext-b-lvis": "clip-vis-convnext-b",
    "clip-vis-r50-ytvis19": "clip-vis-r50-ytvis19",
    "clip-vis-convnext-b-ytvis19": "clip-vis-convnext-b-ytvis19",
}

STICKERS = ("clip-stickers-stills", "clip-stickers-groups", "clip-stickers", "clip-vis-stickers")


def test_there_is_one_for_each_published_run():
    assert set(recipes()) == {*PUBLISHED, *STICKERS, "clip-vis-r50-coco", "clip-vis-convnext-b-coco", "finetune-own"}


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
    assert config.model.network == ZOO[config.model.name].config
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
    video = load_config("clip-vis-convnext-b-ytvis19")
    assert (video.run.steps, video.optimizer.rate) == (6000, 5e-5)
    assert [share * video.run.steps for share in video.optimizer.decay_at] == [5400]
    assert video.model.network.decoder_layers == 9
    assert load_config("clip-vis-convnext-b-coco").model.network.clip == "convnext_base_w_320"
