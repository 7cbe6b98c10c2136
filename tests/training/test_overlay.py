from dataclasses import replace

import pytest

from ovvis.errors import InputError
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.fc_clip import FcClipConfig
from ovvis.models.ov_dvis import OvDvisConfig
from ovvis.models.ovformer import OvFormerConfig
from ovvis.models.zoo import find_model
from ovvis.training.checkpoint import plain
from ovvis.training.config import ModelConfig, TrainConfig
from ovvis.training.overlay import assignments, differences, merged, overlay, read_layer
from ovvis.training.recipes import load_config, refuse_other_run, save_config


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe; return its file."""

    def write(text, name="mine.yaml"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_defaults_and_layers(recipe):
    assert load_config(None) == TrainConfig()
    config = load_config(recipe("run:\n  steps: 7\n  batch: 4\n"), ["run.batch=2", "run.ema=0.99"])
    assert (config.run.steps, config.run.batch, config.run.ema) == (7, 2, 0.99)
    assert load_config(recipe("")) == TrainConfig()


def test_the_network_is_that_of_the_named_model():
    config = load_config(None, ["model.name=clip-vis-r50-ytvis19", "model.network.width=64"])
    assert config.model.network.decoder_layers == find_model("clip-vis-r50-ytvis19").config.decoder_layers == 9
    assert (config.model.network.width, config.model.network.queries) == (64, ClipVisConfig().queries)


@pytest.mark.parametrize("network", [FcClipConfig(alpha=0.3), OvDvisConfig(refined=True)])
def test_every_familys_configuration_is_told_by_its_fields(network):
    values = plain(TrainConfig(model=ModelConfig(network=network)))
    config = overlay(TrainConfig, values, [assignments(["model.network.width=64"])])
    assert config.model.network == replace(network, width=64)


def test_settings_of_the_network_are_its_familys():
    values = plain(TrainConfig(model=ModelConfig(network=OvFormerConfig())))
    config = overlay(TrainConfig, values, [assignments(["model.network.alignment=paper", "model.network.width=64"])])
    assert config.model.network == OvFormerConfig(alignment="paper", width=64)
    for setting, said in (
        ("model.network.alignement=none", r"no setting 'model.network.alignement'; did you mean alignment\?"),
        ("model.network.iou_activation=relu", "no setting 'model.network.iou_activation'"),
        ("model.network.alignment=x", r"alignment is \"x\", but it must be 'released', 'paper' or 'none'"),
        ("model.network=3", "model.network is 3, but it must be a group of settings"),
    ):
        with pytest.raises(InputError, match=said):
            overlay(TrainConfig, values, [assignments([setting])])
    with pytest.raises(InputError, match=r"no setting 'model\.network\.alignment'"):
        load_config(None, ["model.network.alignment=none"])


def test_numbers_as_people_write_them():
    assert load_config(None, ["run.clip_gradients=1e-2"]).run.clip_gradients == 0.01
    assert load_config(None, ["run.ema=null"]).run.ema is None
    assert load_config(None, ["run.clip_gradients=1"]).run.clip_gradients == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run:\n  setps: 3\n", r"mine.yaml, line 2: there is no setting 'run.setps'; did you mean steps\?"),
        ("\nrum:\n  steps: 3\n", r"mine.yaml, line 2: there is no setting 'rum'; did you mean run"),
        (
            "model:\n  network:\n    widht: 3\n",
            "line 3: there is no setting 'model.network.widht'; did you mean width",
        ),
        ("run:\n  steps: many\n", r"mine.yaml, line 2: run.steps is \"many\", but it must be a valid integer"),
        ("run:\n  steps: 2.5\n", "line 2: run.steps is 2.5, but it must be a valid integer"),
        ("run:\n  carry_clip: 1\n", "line 2: run.carry_clip is 1, but it must be a valid boolean"),
        ("run:\n  precision: fp16\n", "line 2: run.precision is \"fp16\", but it must be '32-true', 'bf16-mixed' or"),
        ("run:\n  steps: 0\n", "line 1: run.steps is 0, but it must be at least 1"),
        ("run: 5\n", "line 1: run is 5, but it must be a group of settings"),
        ("run:\n  steps: 3\n  steps: 4\n", r"line 3: run.steps stands twice \(.*line 2\); keep one"),
        ("run: [\n", "line 2: no YAML"),
        ("- 5\n", "must be keys with values"),
        ("3: 5\n", "line 1: key '3' must be a plain word"),
        ("run:\n  steps: 2020-01-01\n", 'line 2: run.steps is "2020-01-01", but it must be a valid integer'),
        ("run:\n  steps: 2024-13-45\n", 'line 2: run.steps is "2024-13-45", but it must be a valid integer'),
        ("model:\n  name: clip-vis-r5\n", "model 'clip-vis-r5': .*did you mean clip-vis-r50"),
        ("base: nowhere\n", r"recipe 'nowhere' \(base of .*mine.yaml\): there is none"),
        ("base: 3\n", "line 1: base is 3"),
        ("base: mine.yaml\n", "builds on itself"),
    ],
)
def test_wrong_settings_name_the_key_and_the_place(recipe, text, said):
    with pytest.raises(InputError, match=said):
        load_config(recipe(text))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("run.steps", "must be KEY=VALUE"),
        ("run.stepps=3", r"--set run.stepps=3: there is no setting 'run.stepps'; did you mean steps\?"),
        ("run.ema=2", "--set run.ema=2: run.ema is 2.0, but it must lie between 0 and 1"),
        ("run.steps=[", "no YAML that can be read .* put quotes around text"),
    ],
)
def test_wrong_assignments(setting, said):
    with pytest.raises(InputError, match=said):
        load_config(None, [setting])


def test_nothing_is_an_empty_text():
    assert load_config("clip-vis-r50-lvis", ["validation.dataset="]).validation.dataset == ""
    assert load_config("clip-vis-r50-lvis", ["run.ema=null"]).run.ema is None


def test_assignments_below_a_plain_value():
    with pytest.raises(InputError, match="'run' was given a plain value"):
        assignments(["run=3", "run.steps=4"])


def test_recipes_build_on_each_other(recipe):
    recipe("about: {reproduces: below}\nrun: {steps: 5, batch: 4}\n", "below.yaml")
    config = load_config(recipe("base: below.yaml\nrun: {batch: 2}\n"))
    assert (config.run.steps, config.run.batch) == (5, 2)
    assert config.about.reproduces == ""  # a base speaks for itself alone


def test_no_such_recipe():
    with pytest.raises(InputError, match="recipe 'clip-vis': there is none of that name"):
        load_config("clip-vis")
    with pytest.raises(InputError, match="there is no such file"):
        load_config("missing.yaml")


def test_a_saved_configuration_reads_back(tmp_path):
    config = load_config(None, ["model.name=clip-vis-convnext-b", "run.seed=3", "run.ema=0.5"])
    assert load_config(save_config(config, tmp_path)) == config


def test_another_run_in_the_folder(tmp_path):
    before = plain(TrainConfig())
    refuse_other_run(load_config(None, ["run.workers=9", "run.log_every=3", "run.keep=9"]), before, tmp_path)
    with pytest.raises(InputError, match=r"holds a run with run\.batch = 8, not 4; give the same settings"):
        refuse_other_run(load_config(None, ["run.batch=4"]), before, tmp_path)


def test_a_run_of_an_earlier_ovvis(tmp_path):
    """What it could not be asked for was as it is by default."""
    before = plain(TrainConfig())
    del before["model"]["backbone"], before["loss"]["label_sample"]
    refuse_other_run(load_config(None), before, tmp_path)
    with pytest.raises(InputError, match=r"a run with loss\.label_sample = 50, not 9"):
        refuse_other_run(load_config(None, ["loss.label_sample=9"]), before, tmp_path)
    before = plain(TrainConfig())
    with pytest.raises(InputError, match=r"a run with run\.spteps = 3, not None"):
        refuse_other_run(load_config(None), before | {"run": before["run"] | {"spteps": 3}}, tmp_path)


def test_trees():
    assert merged({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}
    assert differences({"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "d": 4}) == [
        ("a", 1, None),
        ("b.c", 2, 3),
        ("d", None, 4),
    ]


def test_a_layer_knows_its_lines(recipe):
    layer = read_layer(recipe("run:\n  steps: 3\n\nmodel:\n  name: x\n"))
    assert layer.places[("model", "name")].endswith("mine.yaml, line 5")
