"""What strangers' label files and lists hold: read as it is meant, or refused in one line."""

import itertools
import random

import numpy as np
import pytest

from mutations import TRIES, damaged
from ovvis.errors import InputError
from ovvis.labels import file as label_file
from ovvis.vocabulary import Label, Vocabulary, read_prompts
from refusing import refused

DOG_CAT = [("dog",), ("cat",)]
KITTEN = [("cat", "kitten"), ("dog",)]


def words(vocabulary):
    return [label.synonyms for label in vocabulary]


TYPED = {
    # as Python, JSON and YAML write lists
    "['dog', 'cat']": DOG_CAT,
    '["dog","cat"]': DOG_CAT,
    "('dog', 'cat')": DOG_CAT,
    "('dog', )": [("dog",)],
    "{'dog', 'cat'}": DOG_CAT,
    "{1: 'cat', 0: 'dog'}": DOG_CAT,
    "dict_keys(['dog', 'cat'])": DOG_CAT,
    "[dog, cat]": DOG_CAT,
    "[dog; cat]": DOG_CAT,
    "(dog, cat)": DOG_CAT,
    "[['cat', 'kitten'], 'dog']": KITTEN,
    "(('cat', 'kitten'), 'dog')": KITTEN,
    '["cat|kitten", "dog"]': KITTEN,
    '[{"name": "dog"}, {"name": "cat"}]': DOG_CAT,
    # separators
    "dog; cat": DOG_CAT,
    "dog\ncat\n": DOG_CAT,
    "dog,\r\ncat": DOG_CAT,
    "dog\tcat": DOG_CAT,
    "犬，猫": [("犬",), ("猫",)],
    "cat|kitten; dog;": KITTEN,
    # quotes
    '"dog", "cat"': DOG_CAT,
    "“dog”, ‘cat’": DOG_CAT,
    "\"cat\"|'kitten', dog": KITTEN,
    '"cat|kitten", "dog"': KITTEN,
    '"salt, pepper", dog': [("salt, pepper",), ("dog",)],
    "'tis, 24\" tv, driver's seat": [("'tis",), ('24" tv',), ("driver's seat",)],
    # numbers before all
    "1. dog, 2. cat": DOG_CAT,
    "1. dog": [("dog",)],
    "(2) cat, (1) dog": DOG_CAT,
    "0: dog, 1: cat|kitten": [("dog",), ("cat", "kitten")],
    "0 dog, 1 cat": DOG_CAT,
    "7 dwarfs": [("7 dwarfs",)],
    "2 dogs, 3 cats": [("2 dogs",), ("3 cats",)],
    "3.5 inch disk, 4x4": [("3.5 inch disk",), ("4x4",)],
    # no paths
    "TV/monitor, St. Bernard": [("TV/monitor",), ("St. Bernard",)],
    "(dog), cat": [("(dog)",), ("cat",)],
    "'words.txt', dog": [("words.txt",), ("dog",)],
    # what shows nothing, and accents in two ways
    "\ufeffdog, \u202ecat\u200b": DOG_CAT,
    "cafe\u0301": [("caf\u00e9",)],
}


@pytest.mark.parametrize("text", TYPED)
def test_typed(text):
    assert words(Vocabulary.parse(text)) == TYPED[text]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[dog", ["no JSON"]),
        ("['dog' 'cat']", ["no JSON"]),  # as numpy prints: never 'dogcat'
        ("('dog' 'cat')", ["no JSON"]),
        ("[]", ["empty"]),
        ("{'dog': 'x'}", ["without names"]),
        ("dog; cat, bird", ["commas and semicolons"]),
        ("'dog, cat'", ["in quotes as a whole"]),
        ('"dog, cat', ["quote has no end"]),
        ("words.txt", ["'words.txt'", "looks like a file", "none of that name"]),
        ("./words", ["looks like a file"]),
        ("~nobody/words", ["looks like a file"]),
        ("C:\\words", ["looks like a file"]),
        ("https://example.org/coco.names", ["looks like a file"]),
        ("clip.mp4", ["looks like a file"]),
        ("dog, words.txt", ["'words.txt'", "stands alone"]),
        ("dog, @words.txt", ["'@words.txt'", "stands alone"]),
        ("@'words.txt'", ["'words.txt' cannot be read"]),
        ("1. dog, cat", ["'1. dog' begins with a number, and 'cat' does not"]),
        ("1. dog, 2. cat, 2. bird", ["number 2 stands before two"]),
        ("dog\x1b[31m, cat", ["label 1", r"'\x1b'"]),
        ("x" * 600, ["600 characters"]),
        ("dog, Dog", ["'dog' or 'Dog'", "2 times"]),
        ("traffic  light, Traffic light", ["'traffic light' or 'Traffic light'"]),
        ("caf\u00e9, cafe\u0301", ["2 times"]),
        ("a, a, b, b, c, C", ["2 more words stand twice"]),
    ],
)
def test_typed_refused(text, named):
    refused(lambda: Vocabulary.parse(text), *named)


FILES = [
    # YAML, as Ultralytics and others keep it; a word of YAML's own is a word
    ("d.yaml", "path: x\ntrain: y\nnc: 2\nnames: ['dog', 'cat']\n", DOG_CAT),
    ("d.yaml", "names:\n  1: cat\n  0: dog\n", DOG_CAT),
    ("d.yml", "names:\n- dog\n- no\n- 07\n", [("dog",), ("no",), ("07",)]),
    ("d.yaml", "- dog\n- cat # meows\n", DOG_CAT),
    ("d.yaml", "dog: 0\ncat: 1", DOG_CAT),
    ("d.yaml", "metainfo:\n  classes: [dog, cat]\n", DOG_CAT),
    ("d.yaml", "names: dog, cat", DOG_CAT),
    ("d.txt", "names:\n  - dog\n  - cat", DOG_CAT),
    ("d.txt", "train: x\nnames: [dog, cat]", DOG_CAT),
    # tables
    ("a.csv", "id,name\n1,dog\n2,cat\n", DOG_CAT),
    ("a.csv", "name\ndog\ncat", DOG_CAT),
    ("a.csv", "dog\ncat", DOG_CAT),
    ("a.csv", "1,dog\n2,cat", DOG_CAT),
    ("a.csv", "id;Label\r\n1;dog\r\n2;cat\r\n", DOG_CAT),
    ("a.csv", "sep=;\nname;x\ndog;1\ncat;2", DOG_CAT),
    ("a.csv", "dog,cat", DOG_CAT),
    ("a.csv", "class,name\n0,dog\n1,cat", DOG_CAT),
    ("a.csv", "species,wings\ndog,0\ncat,0", DOG_CAT),
    ("a.csv", "/m/0bt9lr,dog\n/m/01yrx,cat", DOG_CAT),
    ("a.csv", 'name,colour\n"salt, pepper",#00ff00\ncat|kitten,#ffffff', [("salt, pepper",), ("cat", "kitten")]),
    ("a.tsv", "1\tdog\n2\tcat", DOG_CAT),
    ("a.txt", "1,dog\n2,cat", DOG_CAT),
    ("a.txt", "dog,1\ncat,2", DOG_CAT),
    # lines
    ("a.txt", "1. dog\n2. cat\n", DOG_CAT),
    ("a.txt", "0: dog\n1: cat\n", DOG_CAT),
    ("a.txt", "1 dog\n2 cat\n13 stop sign", [*DOG_CAT, ("stop sign",)]),
    ("a.txt", "1.\tdog\n1.\tcat", DOG_CAT),
    ("a.txt", "dog\n7 dwarfs", [("dog",), ("7 dwarfs",)]),
    ("a.txt", "- dog\n- cat", DOG_CAT),
    ("a.txt", "* dog\n* cat", DOG_CAT),
    ("a.txt", "Label\ndog\ncat", DOG_CAT),
    ("a.txt", '"Label"\ndog', [("Label",), ("dog",)]),
    ("a.txt", "\"dog\"\n'cat'\n", DOG_CAT),
    ("a.txt", '"salt, pepper"\n"C#" # a language\n', [("salt, pepper",), ("C#",)]),
    ("a.txt", "dog, cat", DOG_CAT),
    ("a.txt", "dog,\ncat,\n", DOG_CAT),
    ("a.txt", "dog, cat,\nbird", [*DOG_CAT, ("bird",)]),
    ("a.txt", "['dog', 'cat']", DOG_CAT),
    ("a.txt", '{"names": ["dog", "cat"]}', DOG_CAT),
    ("a.txt", "n01440764 tench, Tinca tinca\nn01443537 goldfish", [("tench", "Tinca tinca"), ("goldfish",)]),
    ("coco.names", "dog\n\n\ncat\n\n", DOG_CAT),
    ("a.txt", "dog\rcat\r", DOG_CAT),
    *[
        ("a.txt", "\ufeffdog\r\ncat".encode(coding), DOG_CAT)
        for coding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-be")
    ],
    ("a.txt", "dog\ncat".encode("utf-16-le"), DOG_CAT),
    ("a.txt", "dog\ncat".encode("utf-16-be"), DOG_CAT),
    # JSON
    ("a.json", '{"names": ["dog", "cat"]}', DOG_CAT),
    ("a.json", '{"1": "cat", "0": "dog"}', DOG_CAT),
    ("a.json", '{"10": "cat", "9": "dog"}', DOG_CAT),
    ("a.json", '{"dog": 0, "cat": 1}', DOG_CAT),
    ("a.json", '[[0, "dog"], [1, "cat"]]', DOG_CAT),
    ("a.json", '{"images": [], "categories": [{"id": 2, "name": "cat"}, {"id": 1, "name": "dog"}]}', DOG_CAT),
    ("a.json", '{"id2label": {"0": "dog", "1": "cat"}, "label2id": {"dog": 0, "cat": 1}}', DOG_CAT),
    ("a.json", '{"classes": ["dog", "cat"], "labels": {"0001": 0}}', DOG_CAT),
    ("a.json", "['dog', 'cat',]", DOG_CAT),
    ("a.json", b'\xef\xbb\xbf["dog", "cat"]', DOG_CAT),
    ("a.json", '[["cat", "kitten"], "dog"]', KITTEN),
    ("a.jsonl", '{"name": "dog"}\n{"name": "cat"}\n', DOG_CAT),
]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(("name", "content", "expected"), FILES)
def test_file(tmp_path, name, content, expected):
    path = write(tmp_path / name, content)
    assert words(Vocabulary.from_file(path)) == expected
    assert words(Vocabulary.parse(f"@{path}")) == expected
    assert words(Vocabulary.parse(str(path))) == expected  # a file's name without @


def test_a_file_that_is_here_needs_no_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "words.txt", "dog\ncat")
    write(tmp_path / "dog", "bird")
    (tmp_path / "lists").mkdir()
    write(tmp_path / "lists" / "own", "cat")
    assert words(Vocabulary.parse("words.txt")) == DOG_CAT
    assert words(Vocabulary.parse("'words.txt'")) == DOG_CAT
    assert words(Vocabulary.parse("lists/own")) == [("cat",)]
    assert words(Vocabulary.parse("dog")) == [("dog",)]  # a word, whatever lies here


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("d.yaml", "", ["no label"]),
        ("d.yaml", "dog\ncat", ["no JSON and no YAML of lists"]),
        ("d.yaml", "nc: 3\nnames: [a, b]", ["'nc' says 3", "holds 2"]),
        ("d.yaml", "train: x\nval: y", ["without names", "train, val"]),
        ("d.yaml", "names:\n", ["without names"]),
        ("d.yaml", "names: [dog, ~]", ["entry 2"]),
        ("d.yaml", "names: {0: dog, 0: cat}", ["'0' stands twice"]),
        ("d.yaml", "names: {0: dog, 00: cat}", ["one number"]),
        ("d.yaml", "names: &a [*a]", ["holds itself"]),
        ("d.yaml", "names: [!!python/object/apply:os.system [ls]]", ["tag", "is not read"]),
        ("a.csv", "a,b\nx,y", ["2 columns of words", "'name'"]),
        ("a.csv", "1,2\n3,4", ["no columns of words"]),
        ("a.csv", "name,x\n,1\ndog,2", ["line 2", "empty"]),
        ("a.csv", "name,x\n", ["a heading and no label"]),
        ("a.csv", "name,x\ndog,1\ndog,2", ["'dog'", "2 times"]),
        ("a.csv", "name,x\ndog,1,2\n", ["not every line as many"]),
        ("a.txt", "1. dog\ncat", ["'1. dog' begins with a number"]),
        ("a.txt", "dog, cat\nbird, horse", ["2 columns of words"]),
        ("a.txt", "dog\ncat, kitten", ["line 2", "several columns or labels"]),
        ("a.txt", "dog; canine\ncat", ["line 1"]),
        ("a.txt", "dog\ncat: small", ["no YAML"]),
        ("a.txt", "item {\n id: 1\n name: 'dog'\n}", ["line 1", "program"]),
        ("a.py", "CLASSES = ('dog',)", ["program"]),
        ("a.txt", "<!doctype html><p>", ["web page"]),
        ("a.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3", ["Git LFS pointer"]),
        ("a.txt", b"PK\x03\x04aa", ["zip"]),
        ("a.txt", b"\x89PNG\r\n\x1a\n", ["PNG"]),
        ("a.txt", b"\x1f\x8b\x08\x00", ["gzip"]),
        ("a.txt", b"caf\xe9", ["UTF-8"]),
        ("a.txt", b"dog\x00", ["UTF-8"]),
        ("a.json", '"dog"', ["a text"]),
        ("a.json", '["dog", null]', ["entry 2", "nothing"]),
        ("a.json", '{"1": "dog", "1": "cat"}', ["'1' stands twice"]),
        ("a.json", "[" * 100_000, ["deep"]),
        ("a.json", '["a\\u0000b"]', ["entry 1", r"\x00"]),
        ("a.json", '["dog\\ncat"]', ["line break"]),
        ("a.json", "1" * 5000, ["no JSON"]),
        ("a.json", '{"names": null}', ["without names"]),
    ],
)
def test_file_refused(tmp_path, name, content, named):
    path = write(tmp_path / name, content)
    refused(lambda: Vocabulary.from_file(path), str(path), *named)


def test_a_file_is_read_within_bounds(tmp_path, monkeypatch):
    monkeypatch.setitem(label_file.MOST_BYTES, ".txt", 10)
    refused(lambda: Vocabulary.from_file(write(tmp_path / "a.txt", "dog\n" * 9)), "more than the")
    refused(lambda: Vocabulary.from_file("/dev/zero"), "more than the 4 MiB")
    refused(lambda: read_prompts(write(tmp_path / "b.txt", b"\xff{}")), "UTF-8")
    assert read_prompts(write(tmp_path / "b.txt", "a {}".encode("utf-16"))) == ("a {}",)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Vocabulary(itertools.count()),
        lambda: Vocabulary(str(i) for i in itertools.count()),
        lambda: Vocabulary.parse("a," * 60_000),
        lambda: Vocabulary.parse("[" + "a, " * 60_000 + "]"),
        lambda: Vocabulary.parse("a\n" * 60_000),
    ],
)
def test_no_list_is_endless(call):
    refused(call, "more than 50,000")


@pytest.mark.parametrize(("name", "one"), [("a.txt", "a\n"), ("a.csv", "a,1\n"), ("a.txt", "a,"), ("a.txt", "a|")])
def test_no_file_is_endless(tmp_path, name, one):
    refused(lambda: Vocabulary.from_file(write(tmp_path / name, one * 60_000)), "more than 50,000")
    many = f"[{','.join(['{}'] * 60_000)}]"
    refused(lambda: Vocabulary.from_file(write(tmp_path / "a.json", many)), "more than 50,000")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"a": "b"}, ["a dict"]),
        ([3], ["label 1 is a number (3)"]),
        (["dog", None], ["label 2 is nothing"]),
        ([True], ["true or false"]),
        (None, ["nothing (None)"]),
        (b"dog", ["bytes"]),
        ([b"dog"], ["bytes"]),
        (7, ["a number (7)"]),
        ([["a", ["b"]]], ["a list"]),
        ([{"name": "dog"}], ["a dict"]),
        (np.array(3), ["ndarray"]),
        (np.array([1, 2]), ["label 1"]),
        (["dog\ncat"], ["line break"]),
        (["cat|kitten"], ["bar"]),
        (["\ud800"], [r"\ud800"]),
        ([Label("a", "ab")], ["label 1"]),
        ([Label(3, ("x",))], ["label 1"]),
        ([Label("a", ())], ["label 1"]),
    ],
)
def test_python_refused(given, named):
    refused(lambda: Vocabulary(given), *named)


def test_python_taken(tmp_path):
    for given in (
        ["dog", "cat"],
        ("dog", "cat"),
        np.array(["dog", "cat"]),
        iter(["dog", "cat"]),
        {"dog": 1, "cat": 2}.keys(),
    ):
        assert sorted(words(Vocabulary(given))) == sorted(DOG_CAT)
    assert Vocabulary({"dog", "cat"}).names == ("cat", "dog")  # a set's order is another in every run
    refused(lambda: Vocabulary(tmp_path), "Vocabulary.from_file")
    for wrong in (None, 3, b"dog", ["dog"]):
        refused(lambda wrong=wrong: Vocabulary.parse(wrong), "give a text")
        refused(lambda wrong=wrong: Vocabulary.from_file(wrong), "the name of a file")


def test_damaged_files_and_texts(tmp_path):
    dice = random.Random(14)
    for _ in range(TRIES):
        name, content, _ = dice.choice(FILES)
        content = damaged(content if isinstance(content, bytes) else content.encode(), dice)
        path = write(tmp_path / name, content)
        texts = [lambda path=path: Vocabulary.from_file(path)]
        texts += [lambda content=content: Vocabulary.parse(content.decode("utf-8", "replace"))]
        for call in texts:
            try:
                labels = call()
            except InputError as error:
                assert "\n" not in str(error) and len(str(error)) < 1000, content
            else:
                assert labels.names and all(name.strip() and "\n" not in name for name in labels.names), content
