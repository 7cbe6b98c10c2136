"""Weights and embeddings as strangers have them: read, or one line that says what the file is. No pickle runs."""

import argparse
import io
import json
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file

from fakes import authors_checkpoint, build_tiny, build_tiny_ovformer, tiny_config
from mutations import TRIES, damaged
from ovvis.errors import InputError
from ovvis.models.array_file import MOST_NUMBERS
from ovvis.models.checkpoint import read_checkpoint, write_checkpoint
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.ovformer import OvFormerConfig
from ovvis.models.stated import stated_config
from ovvis.models.strict import load_strictly
from ovvis.models.text_file import read_text_matrix
from refusing import refused as told

NAME = "sem_seg_head.predictor.query_feat.weight"
OTHER = "sem_seg_head.predictor.query_embed.weight"
LABELS = "sem_seg_head.predictor.class_embed.zs_weight"
OURS = "network.query_decoder.query_features"


def refused(call, *named):
    assert len(told(call, *named)) < 600


class Own:
    """A class that a pickle names."""


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def zipped(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def repacked(content):
    """Return a zip whose parts are packed, as archivers make them."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return file.getvalue()


def scripted():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl", "m/version"):
            archive.writestr(name, b"\x80\x02}.")
    return file.getvalue()


TINY = {NAME: torch.ones(2, 3)}
DETECTRON2 = {"model": {"conv1.weight": np.ones((2, 3), np.float32)}, "__author__": "Detectron2"}


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", ["is empty"]),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", ["Git LFS pointer", "git lfs pull"]),
        (b"<!DOCTYPE html><title>Google Drive - Quota exceeded</title>", ["Google Drive's page", "browser"]),
        (b"<html><body>Not found", ["web page"]),
        (b"\x1f\x8b\x08rest", ["gzip", "unpack"]),
        (zipped(**{"a/model.pth": b"x"}), ["zip ('a/model.pth' in it)", "unpack"]),
        (zipped(**{"a.npy": b"x"}), ["numpy arrays"]),
        (scripted(), ["TorchScript", "state_dict"]),
        (repacked(saved(TINY)), ["packed again"]),
        (pickle.dumps(DETECTRON2), ["detectron2's model zoo", "give a .pth"]),
        (pickle.dumps(DETECTRON2, protocol=2), ["detectron2's model zoo"]),
        (pickle.dumps({"a": np.ones(3)}), ["a pickle of numpy arrays"]),
        (pickle.dumps({"a": [1]}), ["holds no tensors"]),
        (pickle.dumps({"a": [1]}, protocol=2), ["holds no tensors"]),
        (saved({"model": TINY, "args": argparse.Namespace(x=1)}), ["it asks for argparse.Namespace"]),
        (saved({"model": TINY, "o": Own()}), ["it asks for", "Own"]),
        (saved({"model": TINY, "o": Bomb()}), ["it asks for builtins.print"]),
        (pickle.dumps({"model": Bomb()}), ["it asks for builtins.print"]),
        (saved({"model": {NAME: np.ones(3)}}), ["numpy"]),
        (saved({NAME: torch.ones(1).expand(10**12)}), [NAME, "1,000,000,000,000 numbers, more than the file holds"]),
        (saved({NAME: torch.empty(10**12, device="meta")}), ["without values"]),
        (saved({NAME: torch.sparse_coo_tensor([[0], [1]], [1.0], (10**6, 10**6), check_invariants=True)}), ["sparse"]),
        (saved({f"model.{NAME}": torch.ones(1), f"ema_model.{NAME}": torch.ones(1)}), None),
        (saved({f"module.{NAME}": torch.ones(1), NAME: torch.ones(1)}), None),
        (
            saved({f"{w}.{n}": torch.ones(1) for w in ("model", "model_ema") for n in (NAME, OTHER)}),
            ["holds a network twice", "'model.'", "'model_ema.'"],
        ),
        (saved({f"network.query_decoder.layers.{10**8}.x": torch.ones(1)}), None),
        (saved({NAME: torch.ones(2, 3), LABELS: torch.full((2, 3), float("nan"))}), ["embeddings of labels"]),
        (saved({NAME: torch.ones(2, 3), LABELS: torch.ones(2, 3, dtype=torch.int64)}), ["embeddings of labels"]),
        (saved({NAME: torch.ones(2, 3), LABELS: torch.ones(3)}), None),
    ],
)
def test_what_a_file_is(tmp_path, content, named, capsys):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    if named is not None:
        refused(lambda: read_checkpoint(path), str(path), *named)
    else:
        try:
            read_checkpoint(path)
        except InputError as error:
            assert "\n" not in str(error)
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrap", "told"),
    [
        ("module.", "module."),
        ("_orig_mod.", "_orig_mod."),
        ("module._orig_mod.", "module._orig_mod."),
        ("model.", "model."),
        ("model.module.", "model.module."),
        ("ema_model.", "ema_model."),
        ("ema_model.module.", "ema_model.module."),
        ("_fsdp_wrapped_module.", "_fsdp_wrapped_module."),
        ("", ""),
    ],
)
def test_wraps_are_removed_from_all_names(tmp_path, wrap, told):
    state = {wrap + NAME: torch.ones(2, 3), wrap + OTHER: torch.ones(2, 3)}
    if wrap == "module.":
        state["n_averaged"] = torch.tensor(7)  # of torch.optim.swa_utils.AveragedModel
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "a.ckpt")
    read = read_checkpoint(tmp_path / "a.ckpt")
    assert list(read.state) == [OURS, "network.query_decoder.query_code"]
    assert read.unwrapped == told


def test_a_compiled_part_and_our_own_file(tmp_path):
    write_checkpoint(tmp_path / "a.safetensors", {f"network._orig_mod.{n}": torch.ones(1) for n in "ab"}, "x", {})
    read = read_checkpoint(tmp_path / "a.safetensors")
    assert (list(read.state), read.unwrapped) == (["network.a", "network.b"], "_orig_mod.")
    both = {"network.a": torch.ones(1), "network._orig_mod.a": torch.ones(1)}
    write_checkpoint(tmp_path / "b.safetensors", both, "x", {})
    refused(lambda: read_checkpoint(tmp_path / "b.safetensors"), "two tensors are called 'network.a'")


def test_a_name_that_not_all_begin_with_stays(tmp_path):
    torch.save({f"module.{NAME}": torch.ones(1), "other": torch.ones(1)}, tmp_path / "a.pth")
    assert f"module.{NAME}" in read_checkpoint(tmp_path / "a.pth").state


def test_the_note_reaches_whoever_loads(tmp_path, monkeypatch):
    from dataclasses import replace

    from ovvis.models import zoo
    from ovvis.models.load import load_model
    from ovvis.models.own_weights import convert

    monkeypatch.setattr(zoo, "ZOO", {"clip-vis-r50": replace(zoo.ZOO["clip-vis-r50"], config=tiny_config())})
    monkeypatch.setattr("ovvis.models.recognised.ZOO", zoo.ZOO)
    content = authors_checkpoint(dict(build_tiny().state_dict()))
    content["model"] = {f"module.{name}": tensor for name, tensor in content["model"].items()}
    torch.save(content, tmp_path / "a.pth")
    model = load_model("clip-vis-r50", tmp_path / "a.pth", device="cpu")
    assert model.notes and "'module.'" in model.notes[0] and "a.pth" in model.notes[0]
    told = []
    convert(tmp_path / "a.pth", tmp_path / "b.safetensors", "clip-vis-r50", tell=told.append)
    assert told == list(model.notes)


def test_tensors_of_another_kind(tmp_path):
    module = torch.nn.Linear(2, 1)
    for wrong in (torch.ones(1, 2, dtype=torch.complex64), torch.ones(1, 2, dtype=torch.int64)):
        refused(
            lambda wrong=wrong: load_strictly(module, {"weight": wrong, "bias": torch.ones(1)}, "x"), "weight", "holds"
        )


ABSURD = [
    -1,
    0,
    10**12,
    10**400,
    1.5,
    float("nan"),
    float("inf"),
    "x",
    "",
    None,
    [],
    {},
    True,
    [1],
    "9" * 5000,
    "hf-hub:a/b",
]


@pytest.mark.parametrize("kind", [ClipVisConfig, OvFormerConfig])
def test_absurd_settings(kind):
    """Every setting with every absurd value: refused in one line, or as good as any."""
    model = build_tiny() if kind is ClipVisConfig else build_tiny_ovformer()
    state = dict(model.state_dict())
    from dataclasses import asdict

    sound = asdict(model.config)
    assert stated_config(kind, sound, state, "a.safetensors") == model.config
    accepted = []
    for name in sound:
        for value in ABSURD:
            try:
                config = stated_config(kind, {**sound, name: value}, state, "a.safetensors")
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 400
            else:
                accepted.append((name, value))
                assert getattr(config, name) == value
    numbers = {
        "width",
        "queries",
        "pixel_layers",
        "decoder_layers",
        "heads",
        "points",
        "pixel_hidden",
        "decoder_hidden",
    }
    assert not [pair for pair in accepted if pair[0] in numbers]
    assert not [pair for pair in accepted if pair[1] in (10**12, 10**400, "hf-hub:a/b") or pair[1] == [1]]
    for name, value in (
        ("pixel_hidden", 100_000),
        ("decoder_hidden", 100_000),
        ("width", 8192),
    ):  # sound in itself, but far more than the file holds
        with pytest.raises(InputError, match=r"of .* numbers, and it holds"):
            stated_config(kind, {**sound, name: value}, state, "a.safetensors")


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def header(shape, kind="<f4", order=False, data=b"\0" * 64):
    text = repr({"descr": kind, "fortran_order": order, "shape": shape}).encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


ROWS = np.array([[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]])
UNIT = torch.tensor([[0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.npy", npy(ROWS)),
        ("a.npy", npy(ROWS.astype(">f8"))),
        ("a.npy", npy(np.asfortranarray(ROWS))),
        ("a.npy", npy(ROWS.astype(np.int16))),
        ("a.npy", npy(np.repeat(ROWS, 2, 0)[::2])),
        ("renamed.pt", npy(ROWS)),
        ("renamed.bin", save({"x": torch.from_numpy(ROWS)})),
        ("a.PT", saved(torch.from_numpy(ROWS))),
        ("a.pt", saved(torch.from_numpy(ROWS).T.contiguous().T)),
        ("a.pt", saved(torch.nn.Parameter(torch.from_numpy(ROWS)))),
    ],
)
def test_matrices(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    torch.testing.assert_close(read_text_matrix(tmp_path / name).vectors, UNIT)


def test_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, ROWS)
    torch.testing.assert_close(read_text_matrix(path).vectors, UNIT)
    np.savez(path, other=np.ones(3), text_embeddings=ROWS, labels=np.array(["dog", "cat", "bird"]))
    assert read_text_matrix(path).names == ("dog", "cat", "bird")
    path.rename(tmp_path / "a.npy")
    assert read_text_matrix(tmp_path / "a.npy").names == ("dog", "cat", "bird")
    for wrong in (np.array([1, 2, 3]), np.array([["a"]]), np.array([Bomb()], dtype=object)):
        np.savez(path, x=ROWS, labels=wrong)
        refused(lambda: read_text_matrix(path), "a.npz")
    np.savez(path, x=ROWS, y=ROWS)
    refused(lambda: read_text_matrix(path), "holds 2 arrays")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # small, and 4 GiB when it is unpacked
        archive.writestr("x.npy", header((2**16, 2**14), data=b""))
    refused(lambda: read_text_matrix(path), "more than the file holds")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npy", header((10**9, 10**9)), "declares 1,000,000,000,000,000,000 values of 4 bytes"),
        ("a.npy", header((-1, 4)), "its shape is (-1, 4)"),
        ("a.npy", header((MOST_NUMBERS + 1,), "|u1", data=b""), "more than the file holds"),
        ("a.npy", header((0, 10**18)), "an array of"),
        ("a.npy", header((2, 2), "|O"), "Python objects"),
        ("a.npy", header((2, 2), "<c8"), "complex64"),
        ("a.npy", header((2, 2), "|b1"), "bool"),
        ("a.npy", header((2, 2), "<U1"), "<U1"),
        ("a.npy", header((2, 2), "<M8[s]"), "datetime64"),
        ("a.npy", header((2, 2), [("a", "<f4")]), "no array of numbers"),
        ("a.npy", header("x"), "no array of numbers"),
        ("a.npy", header((2, 2), "nonsense"), "no array of numbers"),
        ("a.npy", header((2, 2), "<f8", data=np.full(4, 1e300).tobytes()), "row 1 is all zero or not finite"),
        ("a.npy", npy(ROWS)[:-1], "more than the file holds"),
        ("a.npy", b"\x93NUMPY\x09\x00" + b"\0" * 60, "version 9.0"),
        ("a.npy", npy(np.array({"a": 1}, dtype=object)), "Python objects"),
        ("a.npy", b"<html>", "web page"),
        ("a.npz", b"PK\x03\x04", "no array of numbers"),
        ("a.pt", saved(torch.ones(1, 1).expand(10**6, 10**6)), "declares 1,000,000,000,000 numbers"),
        ("a.pt", saved(torch.ones(2, 2, dtype=torch.complex64)), "no matrices"),
        ("a.pt", saved({"x": np.ones((2, 2))}), "numpy"),
        ("a.pt", pickle.dumps(ROWS), "numpy.save"),
        ("a.safetensors", save({"x": torch.ones(2, 2, dtype=torch.int8)}), "no matrices"),
        ("a.safetensors", save({"x": torch.ones(2, 2)}, {"labels": "[" * 50_000}), "no list of names"),
        ("a.safetensors", save({"x": torch.ones(2, 2)}, {"labels": '["a", 3]'}), "no list of names"),
    ],
)
def test_matrices_refused(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    refused(lambda: read_text_matrix(path), str(path), said)


def safe(entries, data=b"\0" * 16, metadata=None):
    head = json.dumps({**entries, **({"__metadata__": metadata} if metadata else {})}).encode()
    return len(head).to_bytes(8, "little") + head + data


@pytest.mark.parametrize(
    "content",
    [
        safe({"x": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 16]}}),
        safe({"x": {"dtype": "F32", "shape": [2**63, 2], "data_offsets": [0, 16]}}),
        safe({"x": {"dtype": "F32", "shape": [-2, 2], "data_offsets": [0, 16]}}),
        safe({n: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]} for n in "xy"}),
        safe({"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [16, 0]}}),
        safe({"x": {"dtype": "F32", "shape": [0, 2], "data_offsets": [0, 0]}}),
        safe({"x": {"dtype": "F3", "shape": [2, 2], "data_offsets": [0, 16]}}),
        safe({"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, metadata={"ovvis": 3}),
        safe({"x": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, metadata={"ovvis": "[" * 50_000}),
        (2**62).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_safetensors_headers(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    refused(lambda: read_checkpoint(path), str(path))
    refused(lambda: read_text_matrix(path), str(path))


def test_damaged_files(tmp_path):
    dice = random.Random(3)
    save_file({"x": torch.from_numpy(ROWS)}, tmp_path / "x", metadata={"labels": '["a", "b", "c"]'})
    write_checkpoint(tmp_path / "y", {OURS: torch.ones(2, 3)}, "clip-vis", {"queries": 2})
    old = io.BytesIO()
    torch.save({"model": TINY}, old, _use_new_zipfile_serialization=False)
    npz = io.BytesIO()
    np.savez(npz, ROWS)
    kinds = [
        ("a.npy", npy(ROWS)),
        ("a.npz", npz.getvalue()),
        ("a.pt", saved({"x": torch.from_numpy(ROWS)})),
        ("b.safetensors", (tmp_path / "x").read_bytes()),
        ("c.safetensors", (tmp_path / "y").read_bytes()),
        ("a.pth", saved({"model": TINY, "epoch": 3})),
        ("b.pth", old.getvalue()),
        ("c.pkl", pickle.dumps(DETECTRON2)),
    ]
    for _ in range(TRIES):
        name, content = dice.choice(kinds)
        path = tmp_path / name
        path.write_bytes(damaged(content, dice))
        for read in (read_checkpoint, read_text_matrix):
            try:
                read(path)
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 800, str(error)
