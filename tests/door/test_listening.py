import pytest

from ovvis.door.listening import listen
from ovvis.errors import InputError


def test_a_port_that_is_taken_is_told_or_passed_over():
    with listen("127.0.0.1", None) as first, listen("127.0.0.1", None) as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        assert ports[0] != ports[1]
        with pytest.raises(InputError, match=f"port {ports[0]} of 127.0.0.1 cannot be listened at"):
            listen("127.0.0.1", ports[0])
    with pytest.raises(InputError, match="--host"):
        listen("192.0.2.1", 0)
