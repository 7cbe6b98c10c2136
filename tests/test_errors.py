import pytest

from ovvis.errors import InputError, OvvisError, ResourceError, nearest


@pytest.mark.parametrize(
    ("name", "choices", "clause"),
    [
        ("clip-vis-r5", ["clip-vis-convnext-b", "clip-vis-r50"], "did you mean clip-vis-r50 or clip-vis-convnext-b?"),
        ("quries", ["queries", "width"], "did you mean queries?"),
        ("zzz", ["b", "a"], "the choices are a, b"),
        ("", ["b", "a"], "the choices are a, b"),
        ("ab", {"ab1", "ab2", "ab3", "ab4"}, "did you mean ab4 or ab3 or ab2?"),
    ],
)
def test_nearest(name, choices, clause):
    assert nearest(name, choices) == clause


def test_errors_are_also_the_builtin_kinds():
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, OvvisError)
    assert issubclass(ResourceError, OSError)
    assert issubclass(ResourceError, OvvisError)
