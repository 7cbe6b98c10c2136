import json

import pytest

from ovvis.errors import InputError
from ovvis.fields import JsonFile, short


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
        ('{"a": 1e999}', (int, float), "must be a finite number"),
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
        (b"\xff\xfe", "must be JSON, but it is not"),
        (b"[" * 100_000, "must be JSON, but it is not"),
        (b"1" * 5000, "must be JSON, but it is not"),
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
    assert opened(tmp_path, '\ufeff{"a": 1}').parse() == {"a": 1}


def test_short():
    assert short("x" * 100) == '"' + "x" * 36 + "..."
    assert short(10**5000) == "a number of many digits"
    deep = []
    for _ in range(100_000):
        deep = [deep]
    assert short(deep) == "something deep"
    assert json.loads(short({"a": 1})) == {"a": 1}
