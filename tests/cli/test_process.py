import os
import subprocess
import sys

import pytest

SCRIPT = """
import os, sys
from ovvis.cli.main import run
sys.argv = ["ovvis", "--version"]
try:
    run()
finally:
    print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


LIBRARY = """
import os, sys
import ovvis
print(os.environ.get("GOMP_SPINCOUNT"), "torch" in sys.modules)
"""


@pytest.mark.parametrize("script", [SCRIPT, LIBRARY])
@pytest.mark.parametrize(
    ("own", "wanted"),
    [({}, "10000 False"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None False"), ({"GOMP_SPINCOUNT": "7"}, "7 False")],
)
def test_threads_soon_sleep_while_they_wait_unless_told_otherwise(script, own, wanted):
    """Set before PyTorch is imported, which reads it once."""
    others = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    done = subprocess.run([sys.executable, "-c", script], env=others | own, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == wanted
