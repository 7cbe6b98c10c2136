import sys

import numpy as np
import pytest
import torch

from ovvis.reproduction.memory import peak_memory

CPU = torch.device("cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="the figure takes Linux")
def test_a_block_is_measured_without_what_went_before():
    with peak_memory(CPU) as large:
        np.ones(2**25).sum()  # 256 MiB
    with peak_memory(CPU) as small:
        pass
    if large.bytes is None:
        pytest.skip("the system keeps its mark to itself")
    assert small.bytes is not None and large.bytes - small.bytes > 200 * 2**20
