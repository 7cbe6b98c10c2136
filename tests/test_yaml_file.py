import pytest

from ovvis.errors import InputError
from ovvis.yaml_file import DEEPEST, MOST_CHARACTERS, as_written, compose, construct

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))


@pytest.mark.parametrize(
    ("text", "value", "written"),
    [
        ("", None, None),
        ("a: 1e-4", {"a": 1e-4}, {"a": "1e-4"}),
        ("[no, 007, ~, 'x']", [False, 7, None, "x"], ["no", "007", None, "x"]),
        ("a: &x [1, 2]\nb: *x", {"a": [1, 2], "b": [1, 2]}, {"a": ["1", "2"], "b": ["1", "2"]}),
        ("0: dog\n1: cat", {0: "dog", 1: "cat"}, {"0": "dog", "1": "cat"}),
        ("[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1), ..., ...),
    ],
)
def test_values_and_what_is_written(text, value, written):
    root = compose(text, "x", "mend it")
    assert value in (..., construct(root, "x", "mend it"))
    assert written in (..., as_written(root))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 5000, "more than 50 values lie inside each other"),
        ("a:\n" + "".join(" " * i + "- \n" for i in range(1, 200)), "line "),
        ("a: &x [*x]", "line 1: a value holds itself"),
        (BOMB, "unfolds to more than 100,000 values or 50 inside"),
        ("a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 99)), "unfolds to more than"),
        ("a: [1, 2", "line 1: no YAML that can be read"),
        ("a: *none", "undefined alias"),
        ("a: \x00", "no YAML that can be read"),
        ("a" * (MOST_CHARACTERS + 1), "characters, and YAML is read up to"),
        ("a: 2024-13-45", "no YAML that can be read"),
        ("a: 1:99999999999999999999999999.5e", ...),
        ("a: !!python/object/apply:os.system [ls]", "no YAML that can be read"),
        ("a: !!int x", "no YAML that can be read"),
        ("a: !!float [1]", "no YAML that can be read"),
        ("a: !!binary ä", "no YAML that can be read"),
        ("? [1]\n: 2", "no YAML that can be read"),
        ("a: " + "9" * 5000, "no YAML that can be read"),
        ("a: !!timestamp x", "no YAML that can be read"),
        ("a: !!int ''", "no YAML that can be read"),
        ("a: !!bool x", "no YAML that can be read"),
        ("a: !!set [x]", "no YAML that can be read"),
    ],
)
def test_refused_in_one_line(text, said):
    try:
        construct(compose(text, "settings 'a.yaml'", "mend it"), "settings 'a.yaml'", "mend it")
    except InputError as error:
        assert str(error).startswith("settings 'a.yaml'") and "\n" not in str(error)
        assert said is ... or said in str(error), error
    else:
        assert said is ...
