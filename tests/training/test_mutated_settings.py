"""Settings that nobody would write on purpose: read, or refused in one line that says where; never a traceback."""

import resource
import sys

import psutil
import pytest
from mutated_settings import BOMB, mutants, outcome

from ovvis.errors import InputError
from ovvis.training.plain_yaml import MOST_CHARACTERS
from ovvis.training.recipes import load_config


@pytest.mark.parametrize("seed", range(4))
def test_mutants_of_the_recipes(tmp_path, seed):
    for raw, settings in mutants(75, seed):
        outcome(tmp_path / "mine.yaml", raw, settings)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2024-13-45", 'is "2024-13-45", but it must be a valid integer'),
        ("1:30", 'is "1:30", but it must be a valid integer'),
        ("0b_", "'0b_' could be two numbers, or none"),
        ("010", "'010' could be two numbers, or none; write it in decimal"),
        ("0x_", "'0x_' could be two numbers, or none"),
        ("9223372036854775808", "larger than a whole number can be"),
        ("9" * 5000, "a whole number of 5,000 digits is larger"),
        (".inf", "'.inf' is no finite number"),
        (".nan", "'.nan' is no finite number"),
        ("1e999", "'1e999' is no finite number"),
        ("1e-999", "'1e-999' is no finite number that can be told from 0"),
        ("!!binary aGk=", "is no kind of value that settings have"),
        ("!!python/name:os.system", "is no kind of value that settings have"),
        ("!!int x", "could be two numbers, or none"),
        ("!own 3", "is no kind of value that settings have"),
        ("!!set {a, b}", "is no kind of value that settings have"),
        ("{a: 1, a: 2}", "steps.a stands twice"),
        ("[{a: 1, a: 2}]", "a stands twice"),
        ("{[1]: 2}", "key of several values must be a plain word"),
        ("{1: 2}", "key '1' must be a plain word"),
        ("{<<: 3}", "no merge key"),
        ("&a [*a]", "holds itself"),
        ("*none", "undefined alias"),
        ("[" * 5000, "lie inside each other"),
        ("--- 1\n--- 2", "no YAML that can be read"),
        ("\t@", "no YAML that can be read"),
        ('"\\0"', "holds a character that no text has"),
        ('"\\ud800"', "holds a character that no text has"),
        ("\x07", "unacceptable character"),
    ],
)
def test_values_that_no_setting_has(tmp_path, value, said):
    """Of a file with its line, of an option with its text."""
    file = tmp_path / "mine.yaml"
    file.write_bytes(f"run:\n  batch: 4\n  steps: {value}\n".encode())
    with pytest.raises(InputError) as refused:
        load_config(file)
    assert said in str(refused.value) and "\n" not in str(refused.value)
    assert "line 3" in str(refused.value) or "line 4" in str(refused.value) or "line 5" in str(refused.value)
    with pytest.raises(InputError) as refused:
        load_config(None, [f"run.steps={value}"])
    assert said.replace("steps.a", "a") in str(refused.value) and "\n" not in str(refused.value)
    assert "--set" in str(refused.value)


@pytest.mark.parametrize(
    ("raw", "steps"),
    [
        (b"\xef\xbb\xbfrun: {steps: 7}", 7),
        ("run: {steps: 7}".encode("utf-16"), 7),
        (b"run: {steps: 1_000}\r\n", 1000),
        (b"run: {steps: 0x10}", 16),
        (b"run: {steps: !!int 5}", 5),
        (b"run: {steps: 5, clip_gradients: 1e-2}", 5),
        (b"--- # mine\nrun: {steps: 3}\n...\n", 3),
        (b"run: {steps: &n 3, batch: *n}", 3),
    ],
)
def test_what_people_write_is_read(tmp_path, raw, steps):
    (tmp_path / "mine.yaml").write_bytes(raw)
    assert load_config(tmp_path / "mine.yaml").run.steps == steps


def test_texts_that_yaml_1_1_takes_for_something_else(tmp_path):
    file = tmp_path / "mine.yaml"
    for text in ("2024-01-01", "12:30:00", "2024-13-45", "="):
        file.write_text(f"about: {{expected: {text}}}")
        assert load_config(file).about.expected == text


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"about:\n  expected: caf\xe9\n", "line 2: no UTF-8 text (byte 0xe9); save it as UTF-8"),
        (b"x" * (5 * MOST_CHARACTERS), "longer than"),
        (b"x" * (2 * MOST_CHARACTERS), "characters, but settings have at most"),
        (f"run: {BOMB}".encode(), "unfolds to more than"),
        (
            b"run:\n  steps: 3\n\tbatch: 4\n",
            "no YAML that can be read (found character '\\t' that cannot start any token); indent",
        ),
        (b"run: {steps: 3}\n---\nrun: {steps: 4}\n", "line 2"),
        (b"run:\n  steps: 3\nrun:\n  batch: 4\n", r"line 3: run stands twice"),
        (b"run: {steps: 3}\nabout: {expected: '\x00'}\n", "line 2"),
    ],
)
def test_files_that_are_no_settings(tmp_path, raw, said):
    (tmp_path / "mine.yaml").write_bytes(raw)
    peak, own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, psutil.Process().memory_info().rss
    with pytest.raises(InputError) as refused:
        load_config(tmp_path / "mine.yaml")
    assert said in str(refused.value) and "\n" not in str(refused.value)
    unit = 1 if sys.platform == "darwin" else 1024
    now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert now == peak or now * unit - own < 1 << 30  # the process's peak may be another test's


def test_names_that_no_file_has(tmp_path):
    for name in ("a" * 300, "a" * 300 + ".yaml", "a\0b", "../" * 2000):
        with pytest.raises(InputError, match="there is n"):
            load_config(name)
    for i in range(30):
        (tmp_path / f"r{i}.yaml").write_text(f"base: r{i + 1}.yaml\n")
    with pytest.raises(InputError, match="builds on more than 20 others"):
        load_config(tmp_path / "r0.yaml")


def test_a_setting_given_twice():
    """The last of two values counts, as options do; a group stated as a whole leaves what it does not name."""
    assert load_config(None, ["run.steps=3", "run.steps=4"]).run.steps == 4
    run = load_config(None, ["run.steps=3", "run={batch: 4}", "run.seed=1"]).run
    assert (run.steps, run.batch, run.seed) == (3, 4, 1)
    with pytest.raises(InputError, match=r"steps stands twice"):
        load_config(None, ["run={steps: 3, steps: 4}"])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.network.decoder_layers=1000000000", "model.network.decoder_layers is 1e+09, but it must lie between 1"),
        ("model.network.queries=9223372036854775807", "model.network.queries is 9.22337e+18, but it must lie between"),
        ("model.network.heads=3", "model.network.width 256 must be a multiple of model.network.heads 3"),
        ("model.network.heads=0", "model.network.heads is 0, but it must lie between 1 and 256"),
        ("data.augment.short_edges=[64, 10000000]", "data.augment.short_edges is 1e+07, but it must lie between"),
        ("data.weights=[-1.0]", "data.weights is -1, but it must lie between"),
        ("loss.no_object=1e300", "loss.no_object is 1e+300, but it must lie between 0 and 1e+09"),
        ("run.seed=-1", "run.seed is -1, but it must lie between 0"),
        ("run.workers=100000", "run.workers is 100000, but it must lie between 0 and 512"),
    ],
)
def test_numbers_that_no_run_has(tmp_path, setting, said):
    with pytest.raises(InputError) as refused:
        load_config(None, [setting])
    assert said in str(refused.value)
    key, _, value = setting.rpartition("=")
    group, _, name = key.rpartition(".")
    layers = [f"{'  ' * i}{part}:" for i, part in enumerate([*group.split("."), name])]
    (tmp_path / "mine.yaml").write_text("\n".join(layers) + f" {value}\n")
    with pytest.raises(InputError) as refused:
        load_config(tmp_path / "mine.yaml")
    assert "multiple" in said or str(refused.value).startswith(f"{tmp_path / 'mine.yaml'}, line {len(layers)}: ")
