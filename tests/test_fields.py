import json

import msgspec
import pytest

from ovvis.errors import InputError
from ovvis.fields import JsonFile, short, whole


def opened(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return JsonFile(path, "mend it")


def test_values_of_the_asked_kind(tmp_path):
    file = opened(tmp_path, '{"a": [1, 2], "b": {"c": "x", "d": 0.5, "e": null, "f": true}}')
    root = file.parse_object()
    assert file.all(root, "a", int) == [1, 2]
    assert file.get(root["b"], "c", str) == "x"
    assert file.get(root["b"], "d", (int, float)) == 0.5
    assert file.get(root["b"], "e", (str, type(None))) is None
    assert file.get(root["b"], "f", bool) is True


@pytest.mark.parametrize(
    ("text", "kind", "rule"),
    [
        ('{"b": 1}', int, "field x.a is missing"),
        ('{"a": "1"}', int, 'field x.a must be a whole number, not "1"'),
        ('{"a": true}', int, "field x.a must be a whole number, not true"),
        ('{"a": 1}', bool, "field x.a must be true or false, not 1"),
        ('{"a": 1.5}', int, "must be a whole number, not 1.5"),
        ('{"a": NaN}', (int, float), "must be a finite number, not NaN"),
        ('{"a": -Infinity}', (int, float), "must be a finite number, not -Infinity"),
        ('{"a": 9223372036854775808}', int, "at most 64 bits"),
    ],
)
def test_a_wrong_value_is_named(tmp_path, text, kind, rule):
    file = opened(tmp_path, text)
    with pytest.raises(InputError) as caught:
        file.get(file.parse_object(), "a", kind, "x.")
    assert rule in str(caught.value)
    assert str(caught.value).startswith(f"{file.path}: ")
    assert str(caught.value).endswith(": mend it")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"a": [1, 2', "damaged or cut off (line 1, column"),
        (b"", "damaged or cut off"),
        (b"\xff", "must be JSON, but it is damaged"),
        (b'["\xff"]', "must be JSON, but it is not (it is no UTF-8 text)"),
        ('{"a": 1}'.encode("utf-16"), "must be JSON, but it is UTF-16 text: save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16-be"), "UTF-16 text"),
        ('{"a": 1}'.encode("utf-16-le"), "UTF-16 text"),
        (b"\x1f\x8b\x08", "packed by gzip: unpack it"),
        (b"PK\x03\x04", "packed by zip: unpack it"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"\n<!DOCTYPE html>", "a page or another file of HTML"),
        (b"[" * 100_000, "must be JSON, but it is not"),
        (b"1" * 5000, "must be JSON, but it is damaged"),
        (b"[1, 2]", "must hold a JSON object, not [1, 2]"),
        (b"[" + b"1," * 100 + b"1]", "not a list of 101"),
    ],
)
def test_a_file_that_is_no_object(tmp_path, data, words):
    with pytest.raises(InputError) as caught:
        opened(tmp_path, data).parse_object()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "nul\0.json"):
        with pytest.raises(InputError, match="cannot be read"):
            JsonFile(path, "mend it").parse()


def test_a_byte_order_mark_is_no_damage(tmp_path):
    file = opened(tmp_path, '\ufeff{"parts": [{"id": 1}]}')
    assert file.parse() == {"parts": [{"id": 1}]}
    assert file.decode(Whole) == Whole([Part(1)])


def test_short():
    assert short("x" * 100) == '"' + "x" * 36 + "..."
    assert short(10**5000) == "a number of many digits"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert short(deep) == "something deep"
    assert json.loads(short({"a": 1})) == {"a": 1}


class Part(msgspec.Struct):
    id: int
    names: list[str] | None = None


class Whole(msgspec.Struct):
    parts: list[Part]
    size: tuple[int, int] = (1, 1)


def test_a_whole_file_as_records(tmp_path):
    file = opened(tmp_path, '{"parts": [{"id": 1, "more": 2}, {"id": 2, "names": ["a"]}]}')
    assert file.decode(Whole) == Whole([Part(1), Part(2, ["a"])])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"parts": [{"id": 1}, {"id": "2"}]}', "field parts[1].id must be a whole number, not a text"),
        ('{"parts": [{"id": 1.5}]}', "field parts[0].id must be a whole number, not a number"),
        ('{"parts": [{}]}', "field parts[0].id is missing"),
        ("{}", "field parts is missing"),
        ("[]", "must be an object, not a list"),
        ('{"parts": [{"id": 1, "names": 3}]}', "field parts[0].names must be a list or null, not a whole number"),
        ('{"parts": [{"id": 1, "names": ["a", null]}]}', "field parts[0].names[1] must be a text, not null"),
        ('{"parts": [], "size": [1]}', "field size is wrong (expected array of length 2)"),
        ('{"parts": [], "size": [1, 1e400]}', "field size[1] must not be NaN, Infinity or a number that large"),
        ('{"parts": [{"id": NaN}]}', "field parts[0].id must not be NaN"),
        ('{"parts": [{"id": 1, "names": ["NaN", -Infinity]}]}', "field parts[0].names[1] must not be NaN"),
        ('{"x": NaN, "parts": [', "damaged or cut off (line 1"),
        ('{"parts": [', "damaged or cut off (line 1"),
        ('{"parts": ' + "[" * 100_000, "must be"),
    ],
)
def test_a_file_of_another_shape(tmp_path, text, words):
    with pytest.raises(InputError) as caught:
        opened(tmp_path, text).decode(Whole)
    assert words in str(caught.value)
    assert str(caught.value).endswith(": mend it")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '{"y": [NaN, {"z": -Infinity}]}', "1e999"])
def test_what_nobody_reads_may_be_no_number(tmp_path, value):
    """A text keeps what looks like one, behind quotes of its own too."""
    name = r'"a: NaN, \" Infinity \\"'
    file = opened(tmp_path, f'{{"x": {value}, "parts": [{{"id": 1, "names": [{name}]}}]}}')
    assert file.decode(Whole) == Whole([Part(1, ['a: NaN, " Infinity \\'])])


@pytest.mark.parametrize("value", ['"' + "0" * 600 + '"', "[" + "0," * 300 + "0]", "[" + "[]," * 50 + "0]"])
def test_a_value_of_no_use_is_told_before_it_is_read(tmp_path, monkeypatch, value):
    monkeypatch.setattr("ovvis.fields._WINDOW", 2**6)
    with pytest.raises(InputError, match=r"a\.json holds a text or a list of numbers of more than 0 MiB, or millions"):
        opened(tmp_path, '{"parts": [], "x": ' + " " * 120 + value + " " * 300 + "}").decode(Whole)
    many = '{"parts": [' + ", ".join('{"id": 1}' for _ in range(200)) + '], "x": [' + "[1,2,3,4,5,6]," * 90 + "0]}"
    assert len(opened(tmp_path, many).decode(Whole).parts) == 200


@pytest.mark.parametrize(
    ("value", "number"),
    [(7, 7), (-7.0, -7), ("7", 7), ("007", 7), (2.0**53, None), (2**63 - 1, 2**63 - 1), (2**63, None), (1e300, None)]
    + [(value, None) for value in (7.5, "", "7.0", " 7", "7a", "1_0", "٣", "9" * 19, True)],
)
def test_whole_numbers(value, number):
    assert whole(value) == number
