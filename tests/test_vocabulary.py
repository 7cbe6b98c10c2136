import json

import pytest

from ovvis.errors import InputError
from ovvis.vocabulary import VILD_PROMPTS, Label, Vocabulary, builtin_names, check_prompts, read_prompts
from refusing import refused

COUNTS = {
    "burst": 482,
    "coco": 80,
    "lvis_v1": 1203,
    "lvvis": 1196,
    "ovis": 25,
    "stickers": 520,
    "ytvis_2019": 40,
    "ytvis_2021": 40,
}


def words(vocabulary):
    return [label.synonyms for label in vocabulary]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog", [("dog",)]),
        ("dog, cat", [("dog",), ("cat",)]),
        ("  traffic   light ,dog,", [("traffic light",), ("dog",)]),
        ("cat|kitten, dog", [("cat", "kitten"), ("dog",)]),
        (" cat | kitten | tom cat ", [("cat", "kitten", "tom cat")]),
        ("Zürich tram, 犬", [("Zürich tram",), ("犬",)]),
        ("lvis v1 chair", [("lvis v1 chair",)]),
        ("coconut", [("coconut",)]),
        ("coco|cocoa", [("coco", "cocoa")]),
        ("3", [("3",)]),
    ],
)
def test_parse(text, expected):
    vocabulary = Vocabulary.parse(text)
    assert words(vocabulary) == expected
    assert vocabulary.names == tuple(synonyms[0] for synonyms in expected)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ["empty"]),
        ("   ", ["empty"]),
        (",", ["label 1 is empty"]),
        ("dog,,cat", ["label 2 is empty"]),
        ("dog, cat|", ["label 2 is empty"]),
        ("dog, |cat", ["label 2 is empty"]),
        ("dog, Dog", ["'dog'", "2 times"]),
        ("cat|kitten, dog|KITTEN", ["'kitten'", "2 times"]),
        ("cat|cat", ["'cat'", "2 times"]),
        ("straße, STRASSE", ["2 times"]),
        ("lvis", ["'lvis'", "lvis_v1"]),
        ("LVIS-v1", ["'LVIS-v1'", "lvis_v1"]),
        ("ytvis", ["'ytvis'", "ytvis_2019"]),
        ("ytvis2021", ["'ytvis2021'", "ytvis_2021"]),
        ("lv-vis", ["'lv-vis'", "lvvis"]),
        ("@/no/such/list.txt", ["/no/such/list.txt", "No such file"]),
        ("@", ["cannot be read"]),
    ],
)
def test_parse_refuses(text, named):
    refused(lambda: Vocabulary.parse(text), *named)


@pytest.mark.parametrize("form", ["@{}", "{}", "@{}, dog"])
def test_text_from_elsewhere_opens_no_file(form, tmp_path):
    path = tmp_path / "words.txt"
    path.write_text("secret")
    refused(lambda: Vocabulary.parse(form.format(path), files=False), "looks like a file")
    assert Vocabulary.parse(f"'{path}'", files=False).names == (str(path),)
    assert Vocabulary.parse("traffic light, COCO dog", files=False).names == ("traffic light", "COCO dog")


def test_builtin_lists():
    assert set(builtin_names()) == set(COUNTS)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_builtin(name, count):
    names_only = Vocabulary.parse(name.upper())
    assert len(names_only) == count
    assert all(label.synonyms == (label.name,) for label in names_only)
    with_synonyms = Vocabulary.builtin(name, synonyms=True)
    assert with_synonyms.names == names_only.names
    assert all(label.synonyms for label in with_synonyms)


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("coco", "person", "toothbrush"), ("lvis_v1", "aerosol_can", "zucchini"), ("ovis", "Person", "Vehical")],
)
def test_builtin_order(name, first, last):
    names = Vocabulary.builtin(name).names
    assert (names[0], names[-1]) == (first, last)


def test_lvis_has_a_split():
    lvis = Vocabulary.builtin("lvis_v1")
    assert sum(label.split == "novel" for label in lvis) == 337
    assert sum(label.split == "base" for label in lvis) == 866


def test_no_such_builtin():
    refused(lambda: Vocabulary.builtin("lvis"), "'lvis'", "lvis_v1")


def write(path, content):
    path.write_text(content, encoding="utf-8") if isinstance(content, str) else path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", "dog\ncat|kitten\n", [("dog",), ("cat", "kitten")]),
        ("a.txt", "# things\n\ndog # barks\n  traffic light,\n", [("dog",), ("traffic light",)]),
        ("a.txt", "\ufeffdog\r\ncat\r\n", [("dog",), ("cat",)]),
        ("a.txt", "salt\npepper\n", [("salt",), ("pepper",)]),
        ("a.json", '["dog", {"name": "cat", "synonyms": ["cat", "kitten"]}]', [("dog",), ("cat", "kitten")]),
        ("a.json", '[{"name": "cat"}]', [("cat",)]),
        ("a.json", '[{"name": "cat", "synonyms": []}]', [("cat",)]),
    ],
)
def test_file(tmp_path, name, content, expected):
    path = write(tmp_path / name, content)
    assert words(Vocabulary.from_file(path)) == expected
    assert words(Vocabulary.parse(f" @{path}")) == expected


def test_split_in_json(tmp_path):
    entries = [
        {"name": "a", "split": "novel"},
        {"name": "b", "frequency": "c"},
        {"name": "c", "frequency": "r"},
        {"name": "d"},
    ]
    path = write(tmp_path / "a.json", json.dumps(entries))
    assert [label.split for label in Vocabulary.from_file(path)] == ["novel", "base", "novel", None]


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.txt", "", ["a.txt", "no label"]),
        ("a.txt", "# nothing\n", ["a.txt", "no label"]),
        ("a.txt", b"\xff\xffd", ["a.txt", "UTF-8"]),
        ("a.txt", "dog\nDOG\n", ["'dog'"]),
        ("a.json", "[", ["a.json", "no JSON"]),
        ("a.json", "{}", ["a.json", "dict"]),
        ("a.json", "[]", ["empty"]),
        ("a.json", "[3]", ["a.json", "entry 1"]),
        ("a.json", '["dog", {"synonyms": ["x"]}]', ["a.json", "entry 2"]),
        ("a.json", '[{"name": "dog", "synonyms": "x"}]', ["a.json", "entry 1", "synonyms"]),
        ("a.json", '[{"name": "dog", "synonyms": ["x", 3]}]', ["a.json", "entry 1", "synonyms"]),
        ("a.json", '[{"name": "dog", "synonyms": [" "]}]', ["a.json", "entry 1", "synonyms"]),
        ("a.json", '["dog", " "]', ["a.json", "entry 2"]),
    ],
)
def test_file_refused(tmp_path, name, content, named):
    path = write(tmp_path / name, content)
    refused(lambda: Vocabulary.from_file(path), *named)


# Once: vocabulary.py `_from_json` looks the frequency up in a dict without asking its type (TypeError).
def test_unhashable_frequency_is_refused_in_one_line(tmp_path):
    path = write(tmp_path / "a.json", '[{"name": "dog", "frequency": ["r"]}]')
    try:
        Vocabulary.from_file(path)  # ignoring the entry's frequency would do too
    except InputError as error:
        assert "a.json" in str(error)


def test_a_folder_is_no_list(tmp_path):
    refused(lambda: Vocabulary.from_file(tmp_path), str(tmp_path))


# Once: vocabulary.py `from_file` does not catch the ValueError of a path that no system takes.
def test_a_path_with_a_zero_byte_is_refused_in_one_line():
    refused(lambda: Vocabulary.parse("@a\0b"), "cannot be read")


def test_takes_labels_as_they_are():
    label = Label("a,b", ("x", "y"), "novel")
    vocabulary = Vocabulary([label, "c"])
    assert vocabulary[0] is label
    assert len(vocabulary) == 2
    assert repr(vocabulary) == "Vocabulary(a,b, c; 2 labels)"
    assert repr(Vocabulary("abcde"[i] for i in range(5))) == "Vocabulary(a, b, c, d, ...; 5 labels)"


@pytest.mark.parametrize("labels", [[], [""], ["a", []], [["a", ""]], ["a", "A"]])
def test_constructor_refuses(labels):
    refused(lambda: Vocabulary(labels))


def test_vild_prompts():
    assert len(VILD_PROMPTS) == len(set(VILD_PROMPTS)) == 14
    assert check_prompts(VILD_PROMPTS) == VILD_PROMPTS


@pytest.mark.parametrize(
    ("prompts", "named"),
    [([], "none"), (["a photo"], "'a photo'"), (["a {}", "{} and {}"], "'{} and {}'")],
)
def test_prompts_refused(prompts, named):
    refused(lambda: check_prompts(prompts), named)


def test_prompts_file(tmp_path):
    path = write(tmp_path / "p.txt", "a {}.\n\n  the {} \n")
    assert read_prompts(path) == ("a {}.", "the {}")
    refused(lambda: read_prompts(tmp_path / "none.txt"), "none.txt")
    refused(lambda: read_prompts(write(path, "no hole\n")), "p.txt", "'no hole'")
    refused(lambda: read_prompts(write(path, "")), "p.txt")
