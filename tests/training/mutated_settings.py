"""Settings as strangers might give them: recipes with something spoilt, from a seed. Read, or refused in a line.

`python tests/training/mutated_settings.py COUNT [SEED]` tries more of them than the tests have time for.
"""

import random
import sys
import time
from collections import Counter
from pathlib import Path

from ovvis.errors import InputError
from ovvis.training.config import TrainConfig
from ovvis.training.recipes import load_config, recipes

BOMB = "&a0 [x, x]\n" + "".join(f"b{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
VALUES = (
    *("", "~", "null", "yes", "no", "true", "on", "=", "<<", "-", "?", "text", "'", '"', "'x'", '"\\ud800"', '"\\0"'),
    *(
        "0",
        "-1",
        "1",
        "0b",
        "0b_",
        "0x",
        "0xg",
        "0o17",
        "017",
        "08",
        "1_000",
        "_1",
        "+",
        "1:30",
        "190:20:30.15",
        "9" * 30,
    ),
    *(
        "9" * 5000,
        str(2**63),
        str(-(2**63) - 1),
        "1e3",
        "1e-3",
        "1e999",
        "1e-999",
        ".inf",
        "-.inf",
        ".nan",
        "nan",
        "1.",
        ".",
    ),
    *("2024-13-45", "2024-01-01", "2001-12-14t21:59:43.10-05:00", "2024-02-30 99:99:99", "12:99:99.9"),
    *("!!int x", "!!float [1]", "!!bool 3", "!!null x", "!!binary ä", "!!binary aGk=", "!!timestamp x", "!!set {a, b}"),
    *("!!omap [a: 1]", "!!pairs [a: 1]", "!!python/name:os.system", "!!python/object/apply:os.system [ls]", "!own x"),
    *("!!str 5", "!!map [1]", "!!seq {a: 1}", "!<tag:yaml.org,2002:int> 5", "!", "! x", "!!merge x"),
    *(
        "[]",
        "{}",
        "[[]]",
        "[1, two, 3.0]",
        "{a: 1, a: 2}",
        "{1: 2}",
        "{[1]: 2}",
        "{{a: 1}: 2}",
        "{null: 1}",
        "{.nan: 1}",
    ),
    *(
        "{<<: 3}",
        "{<<: {steps: 1}}",
        "{<<: [1]}",
        "? [1]\n: 2",
        "&a [*a]",
        "&a {b: *a}",
        "*none",
        "*",
        "&",
        "%",
        "@x",
        "`x`",
    ),
    *("[" * 60, "[" * 5000, "{a: " * 60, "- " * 500, "\t", "\tx", "|\n  text", ">\n\ttext", "# nothing", "x # y", BOMB),
    *(
        "---",
        "...",
        "--- 1\n--- 2",
        "%YAML 9.9\n---\nx",
        "\x00",
        "\x07",
        "\x1b[31m",
        "\u202e",
        "\ufeff",
        "\u2028",
        "é",
        "😀",
    ),
    *("a" * 300, "../" * 2000, "/dev/zero", "~nobody/x", "x" * 200_000, "[" + "1, " * 60_000 + "]"),
)
JOINTS = (*tuple(":-?[]{},#&*!|>'\"%@`\n\t \\<=~"), ": ", "- ", "\n\n", "\r", "\r\n", "\x85")


def mutants(count, seed):
    """Yield settings: a file's bytes and a list of `--set`."""
    rng = random.Random(seed)
    texts = [path.read_text(encoding="utf-8") for path in recipes().values()]
    keys = [key for key, _ in leaves(load_config(None))]
    for _ in range(count):
        text, settings = rng.choice(texts), []
        how = rng.randrange(6)
        if how == 0:  # a value of a line
            lines = text.split("\n")
            i = rng.choice([i for i, line in enumerate(lines) if ":" in line])
            lines[i] = lines[i].partition(":")[0] + ": " + rng.choice(VALUES)
            text = "\n".join(lines)
        elif how == 1:  # a new line
            text += (
                "\n"
                + " " * rng.choice((0, 0, 2))
                + rng.choice(VALUES)
                + rng.choice((": ", ":", ""))
                + rng.choice(VALUES)
            )
        elif how == 2:  # characters
            for _ in range(rng.randint(1, 5)):
                i = rng.randrange(len(text))
                text = text[:i] + rng.choice(JOINTS) + text[i + rng.randint(0, 2) :]
        elif how == 3:  # a piece doubled, or gone
            i, j = sorted(rng.randrange(len(text)) for _ in range(2))
            text = text[:j] + text[i:] if rng.random() < 0.5 else text[:i] + text[j:]
        else:
            for _ in range(rng.choice((1, 1, 2))):
                key = rng.choice(keys) if rng.random() < 0.8 else rng.choice(keys).rpartition(".")[0] or "run"
                key = key if rng.random() < 0.95 else rng.choice(VALUES)
                settings.append(f"{key}={rng.choice(VALUES)}")
        raw = text.encode("utf-8", "surrogatepass")
        if how == 2 and rng.random() < 0.2:
            raw = rng.choice((b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\xfe\xff")) + raw
        yield raw, settings


def leaves(config):
    """Yield the dotted key and the value of every setting."""
    from dataclasses import fields, is_dataclass

    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from ((f"{field.name}.{key}", inner) for key, inner in leaves(value))
        else:
            yield field.name, value


def outcome(file: Path, raw: bytes, settings: list[str]) -> str:
    """Return what becomes of settings: "read" or "refused"; anything else is an error of ours."""
    file.write_bytes(raw)
    try:
        assert isinstance(load_config(file, settings), TrainConfig)
    except InputError as error:
        said = str(error)
        assert "\n" not in said and "\x1b" not in said and "\0" not in said, said
        assert len(said) < 1500, said
        return "refused"
    return "read"


if __name__ == "__main__":
    import tempfile
    import traceback

    count, seed = int(sys.argv[1]), int((sys.argv[2:] or ["0"])[0])
    found = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for raw, settings in mutants(count, seed):
            began = time.process_time()
            try:
                found[outcome(Path(folder) / "mine.yaml", raw, settings)] += 1
            except Exception as error:
                found[f"{type(error).__name__}: {error}"[:100]] += 1
                if found.total() - found["read"] - found["refused"] <= 12:
                    print(raw[-300:], [s[:200] for s in settings])
                    print("".join(traceback.format_exception(error)[-3:])[-1500:])
            slowest = max(slowest, time.process_time() - began)
    print(dict(found), f"slowest {slowest:.2f} s")
