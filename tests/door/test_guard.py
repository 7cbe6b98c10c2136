"""Who may ask, for every page that this machine gives out."""

import pytest

from ovvis.door.guard import Guard, is_local

OWN = "127.0.0.1:8000"


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("a.b", False)]
)
def test_what_is_this_machine(host, local):
    assert is_local(host) == local


@pytest.mark.parametrize(
    ("host", "headers", "code"),
    [
        ("127.0.0.1", {"host": OWN}, None),
        ("127.0.0.1", {"host": "localhost:9000"}, None),  # as through a tunnel
        ("127.0.0.1", {"host": "[::1]:8000"}, None),
        ("127.0.0.1", {"host": "proxy.example"}, None),
        ("127.0.0.1", {"host": "PROXY.example:443"}, None),
        ("127.0.0.1", {}, 421),
        ("127.0.0.1", {"host": ""}, 421),
        ("127.0.0.1", {"host": "evil.example:8000"}, 421),
        ("127.0.0.1", {"host": "127.0.0.1.evil.example"}, 421),
        ("127.0.0.1", {"host": "10.0.0.5:8000"}, 421),
        ("127.0.0.1", {"host": "[::1"}, 421),
        ("0.0.0.0", {"host": "10.0.0.5:8000"}, None),
        ("0.0.0.0", {"host": "evil.example:8000"}, 421),
    ],
)
def test_names(host, headers, code):
    refused = Guard(host, names=["proxy.example"]).refusal(headers.get)
    assert (refused and refused.code) == code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),  # a program, not a page
        ({"origin": f"http://{OWN}"}, None),
        ({"origin": f"https://{OWN}"}, None),  # behind a proxy with TLS
        ({"origin": f"http://{OWN}", "sec-fetch-site": "same-origin"}, None),
        ({"origin": "http://127.0.0.1:9000"}, 403),
        ({"origin": "http://[evil"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_other_pages_change_nothing(headers, code):
    asked = {"host": OWN, **headers}.get
    refused = Guard("127.0.0.1").refusal(asked, changes=True)
    assert (refused and refused.code) == code
    assert Guard("127.0.0.1").refusal(asked) is None  # what only looks is kept from them by the answer's headers


@pytest.mark.parametrize(("token", "given", "known"), [
    (None, None, True), (None, "x", True), ("abc", None, False), ("abc", "", False), ("abc", "ab\u0441", False),
    ("abc", "abc", True),
])  # fmt: skip
def test_tokens(token, given, known):
    assert Guard("127.0.0.1", token).knows(given) == known
