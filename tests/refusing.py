"""What is refused, and how that is said."""

from collections.abc import Callable

import pytest

from ovvis.errors import InputError, OvvisError


def refused(call: Callable[[], object], *named: str, kind: type[OvvisError] = InputError) -> str:
    """Assert that a call is refused in one line that names all these, and return the line."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert message.isprintable(), repr(message)
    for name in named:
        assert name in message, message
    return message
