import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ovvis.errors import InputError
from ovvis.models.text_file import read_text_matrix, text_from_file
from ovvis.vocabulary import Vocabulary

WORDS = Vocabulary(["dog", ("cat", "kitten"), "red panda"])
ROWS = np.array([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
UNIT = torch.tensor([[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])


def one_hot(count, width):
    """Return rows that tell their number: row i points along the i-th of `width` axes, or between two."""
    out = np.zeros((count, width))
    for i in range(count):
        out[i, i % width] += 1
        out[i, i // width] += 2
    return out


def numbers(text, count, width):
    """Return which rows of `one_hot` embeddings are."""
    known = torch.nn.functional.normalize(torch.from_numpy(one_hot(count, width)).float(), dim=-1)
    return [int((known @ row).argmax()) for row in text.vectors]


@pytest.mark.parametrize("kind", ["npy", "float16", "safetensors", "pt", "dict"])
def test_files(kind, tmp_path):
    path = tmp_path / f"rows.{kind if kind in ('npy', 'safetensors', 'pt') else 'npy' if kind == 'float16' else 'pth'}"
    if path.suffix == ".npy":
        np.save(path, ROWS.astype(np.float16 if kind == "float16" else np.float64))
    elif kind == "safetensors":
        save_file({"text_embeddings": torch.from_numpy(ROWS), "other": torch.zeros(2, 2)}, path)
    else:
        matrix = torch.from_numpy(ROWS)
        torch.save({"rows": matrix, "step": torch.tensor(3)} if kind == "dict" else matrix, path)
    text = text_from_file(path, WORDS)
    torch.testing.assert_close(text.vectors, UNIT, atol=1e-3, rtol=0)
    assert text.label_of_row.tolist() == [0, 1, 2]
    assert text.labels == ("dog", "cat", "red panda")


def test_rows_of_a_builtin_vocabulary(tmp_path):
    """The authors' matrices: the whole list, or some of it in any order and writing."""
    path = tmp_path / "lvvis.npy"
    np.save(path, one_hot(1196, 512))
    lvvis = Vocabulary.builtin("lvvis")
    assert numbers(text_from_file(path, lvvis), 1196, 512) == list(range(1196))
    some = Vocabulary(["ACTION CAMERA", ("nothing of the kind", "accordion")])
    assert numbers(text_from_file(path, some), 1196, 512) == [1, 0]
    with pytest.raises(InputError, match="1196 rows, but there are 2 labels, and no built-in vocabulary of 1196"):
        text_from_file(path, Vocabulary(["accordion", "flux capacitor"]))


def test_two_vocabularies_of_one_size(tmp_path):
    path = tmp_path / "ytvis.npy"
    np.save(path, one_hot(40, 64))
    for name in ("ytvis_2019", "ytvis_2021"):
        assert numbers(text_from_file(path, Vocabulary.builtin(name)), 40, 64) == list(range(40))
    dog = Vocabulary(["dog"])
    with pytest.raises(InputError, match="may be those of ytvis_2019 or ytvis_2021; say which with --text-rows"):
        text_from_file(path, dog)
    for name in ("ytvis_2019", "ytvis_2021"):
        known = Vocabulary.builtin(name)
        assert numbers(text_from_file(path, dog, known), 40, 64) == [known.names.index("dog")]


def test_a_file_may_name_its_rows(tmp_path):
    path = tmp_path / "rows.safetensors"
    names = ["red_panda", "dog", "cat"]
    save_file({"x": torch.from_numpy(ROWS)}, path, metadata={"labels": json.dumps(names)})
    assert read_text_matrix(path).names == tuple(names)
    torch.testing.assert_close(text_from_file(path, WORDS).vectors, UNIT[[1, 2, 0]])
    with pytest.raises(InputError, match=r"no row for label 'dgo'; .*dog"):
        text_from_file(path, Vocabulary(["dgo"]))
    save_file({"x": torch.from_numpy(ROWS)}, path, metadata={"labels": json.dumps(names[:2])})
    with pytest.raises(InputError, match="names 2 labels for 3 rows"):
        text_from_file(path, WORDS)
    save_file({"x": torch.from_numpy(ROWS)}, path, metadata={"labels": "7"})
    with pytest.raises(InputError, match="no list of names"):
        text_from_file(path, WORDS)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def write(path, content):
    if path.suffix == ".npy" and not isinstance(content, bytes):
        np.save(path, content, allow_pickle=True)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npy", np.ones(6), r"an array of \(6,\)"),
        ("a.npy", np.ones((0, 4)), r"an array of \(0, 4\)"),
        ("a.npy", np.array([[1.0, 0], [np.nan, 1], [1, 1]]), "row 2 is all zero or not finite"),
        ("a.npy", np.array([[1.0, 0], [1, 1], [0, 0]]), "row 3 is all zero or not finite"),
        ("a.npy", np.array([Bomb()], dtype=object), "is no array of numbers"),
        ("a.npy", np.array([["a", "b"]]), "is no array of numbers"),
        ("a.npy", b"nothing", "is no array of numbers"),
        ("a.safetensors", b"nothing", "is damaged or no safetensors file"),
        ("a.safetensors", {"x": torch.ones(3, 2), "y": torch.ones(3, 2)}, "holds 2 matrices"),
        ("a.safetensors", {"x": torch.ones(3)}, "holds no matrices"),
        ("a.pt", Bomb(), "text embeddings .* is refused: opening it would execute code"),
        ("a.pt", b"nothing", "text embeddings .*a.pt'"),
        ("a.pt", [1, 2], "holds no matrices"),
        ("a.npy", np.ones((4, 2)), "4 rows, but there are 3 labels"),
    ],
)
def test_refused(name, content, said, tmp_path, capsys):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError, match=said) as caught:
        text_from_file(path, WORDS)
    assert "\n" not in str(caught.value)
    assert "boom" not in capsys.readouterr().out


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        text_from_file(tmp_path / "gone.npy", WORDS)
    with pytest.raises(InputError, match="is a folder"):
        text_from_file(tmp_path, WORDS)
    np.save(tmp_path / "rows.npy", ROWS)
    with pytest.raises(InputError, match="3 rows, but 2 labels were given for them"):
        text_from_file(tmp_path / "rows.npy", WORDS, Vocabulary(["dog", "cat"]))
