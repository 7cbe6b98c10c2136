from types import SimpleNamespace

import pytest

from ovvis.models import clip_vis, outside
from ovvis.models.families import FAMILIES, Family
from ovvis.models.zoo import ZOO, ModelEntry


def install(monkeypatch, **points):
    """Let entry points be installed: what each gives, or raises."""

    def point(name, given):
        def load():
            if isinstance(given, Exception):
                raise given
            return given

        return SimpleNamespace(name=name, load=load, dist=SimpleNamespace(name="their-package"))

    monkeypatch.setattr(outside, "entry_points", lambda group: [point(*item) for item in points.items()])


MINE = FAMILIES[clip_vis.FAMILY]


def test_a_family_and_models_of_another_package(monkeypatch):
    install(monkeypatch, mine=MINE)
    assert outside.outside(outside.FAMILIES, Family, FAMILIES) == {"mine": MINE}
    lines = list(ZOO.values())[:2]
    install(monkeypatch, any_name=lines)
    assert outside.outside(outside.MODELS, ModelEntry, {}) == {line.name: line for line in lines}


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("mine", ImportError("no module 'that'"), "their-package cannot be imported .ImportError: no module 'that'"),
        ("mine", "a string", "gives a str, not a Family"),
        ("clip-vis", MINE, "the name 'clip-vis' is taken"),
    ],
)
def test_what_cannot_be_used_is_left_out_and_told(monkeypatch, name, given, told):
    install(monkeypatch, **{name: given})
    with pytest.warns(UserWarning, match=told):
        assert outside.outside(outside.FAMILIES, Family, FAMILIES) == {}
