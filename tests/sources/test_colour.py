"""HDR and wide gamuts: the standards' formulas, held to zscale's numbers."""

import numpy as np
import pytest

from ovvis.sources import colour
from ovvis.sources.colour import Encoding, ToScreen, special, to_screen

PQ, HLG, UNTOLD = colour.PQ, colour.HLG, colour.UNTOLD
SIGNALS = np.array([[0.75, 0.75, 0.75], [1, 1, 1], [0.25, 0.25, 0.25], [0.8, 0.4, 0.2], [0.1, 0.5, 0.3]])

# What ffmpeg makes of SIGNALS: "setparams=color_primaries=bt2020:color_trc=TRANSFER,zscale=t=linear:npl=1:agamma=0",
# zimg 3.0; agamma=0 asks for HLG's system gamma as BT.2100 has it, on luminance.
LIGHT = {
    HLG: [203.1474] * 3 + [1000.0] * 3 + [9.6056] * 3 + [226.8721, 35.2988, 8.8247, 1.8938, 47.3404, 17.0412],
    PQ: [983.328] * 3 + [10_000.0] * 3 + [5.1545] * 3 + [1555.1818, 32.448, 2.4292, 0.3246, 92.2511, 10.0373],
}
# The last two rows behind ",format=gbrpf32le,zscale=p=bt709".
LIGHT_709 = {
    HLG: [[355.3332, 11.6592, 2.2042], [-25.9159, 53.2538, 14.2686]],
    PQ: [[2563.1204, -156.9586, -28.7737], [-54.4027, 104.387, 1.9446]],
}
# The last three rows by "zscale=p=bt709:t=bt709".
SCREEN = {
    (14, 9): [[0.250004] * 3, [0.95938, 0.293051, 0.070627], [-1, 0.525709, 0.269718]],
    (1, 12): [[0.250004] * 3, [0.85782, 0.36827, 0.087144], [-1, 0.508485, 0.277428]],
    (13, 12): [[0.28911] * 3, [0.866892, 0.403232, 0.169144], [-1, 0.534765, 0.316877]],
    (1, 11): [[0.250004] * 3, [0.841194, 0.36933, 0.097674], [-1, 0.508958, 0.277241]],
    (1, 8): [[0.250004] * 3, [0.887145, 0.366864, 0.09218], [-1, 0.512209, 0.283416]],
    (1, 4): [[0.250004] * 3, [0.922242, 0.371048, 0.069889], [-1, 0.494624, 0.289631]],
    (8, 1): [[0.561235] * 3, [0.911215, 0.68264, 0.511402], [0.383131, 0.749159, 0.605522]],
    (9, 1): [[0.237137] * 3, [0.681276, 0.316224, 0.215448], [0.17783, 0.383119, 0.26101]],
    (10, 1): [[0.165482] * 3, [0.618948, 0.237134, 0.146784], [0.11548, 0.301416, 0.186561]],
}


@pytest.mark.parametrize(("transfer", "light"), [(HLG, colour.hlg_light), (PQ, colour.pq_light)])
def test_light_of_hdr(transfer, light):
    np.testing.assert_allclose(light(SIGNALS).ravel(), LIGHT[transfer], rtol=2e-4)
    turned = light(SIGNALS[3:]) @ colour.to_bt709(colour.BT2020).T
    np.testing.assert_allclose(turned, LIGHT_709[transfer], rtol=2e-4, atol=0.01)


def test_pq_signal_is_the_inverse():
    light = np.array([0.005, 1, 100, 203, 1000, 10_000])
    np.testing.assert_allclose(colour.pq_light(colour.pq_signal(light)), light, rtol=1e-9)
    assert float(colour.pq_signal(100)) == pytest.approx(0.5081, abs=5e-5)  # BT.2408, table 1: 51 %


@pytest.mark.parametrize("kind", SCREEN)
def test_sdr_of_another_kind(kind):
    expected = np.maximum(SCREEN[kind], 0)  # -1: outside BT.709
    np.testing.assert_allclose(to_screen(SIGNALS[2:], special(*kind, None)), expected, atol=2e-5)


def test_tone():
    """BT.2390's curve: the identity below its knee, the screen's peak for the source's, the spline between."""
    full, most = float(colour.pq_signal(1000)), float(colour.pq_signal(203))
    ratio = most / full
    knee = 1.5 * ratio - 0.5
    light = np.array([0, 0.01, 50, 70, 1000, 5000])
    np.testing.assert_allclose(colour.tone(light, 1000), [0, 0.01, 50, 70, 203, 203], rtol=1e-9)
    middle = colour.pq_light(full * np.array((1 + knee) / 2))  # the spline's parameter is 1/2 there
    expected = colour.pq_light(full * np.array(0.5 * knee + (1 - knee) / 8 + 0.5 * ratio))
    assert float(colour.tone(middle, 1000)) == pytest.approx(float(expected), rel=1e-9)
    grid = np.linspace(0, 1000, 2001)
    assert (np.diff(colour.tone(grid, 1000)) >= 0).all()
    np.testing.assert_array_equal(colour.tone(grid, 203), grid)


def test_what_a_person_sees():
    """A white page (HLG 75 %, PQ 58 %) is bright and below white; grey stays grey; black black, and the most white."""
    for transfer, page in ((HLG, 0.75), (PQ, 0.58)):
        grey = to_screen(np.array([[0.0] * 3, [0.3] * 3, [page] * 3, [1] * 3]), special(transfer, 9, 1000))
        assert np.ptp(grey, axis=1).max() < 1e-4
        np.testing.assert_allclose(grey[[0, 3], 0], [0, 1], atol=1e-6)
        assert 0.85 < grey[2, 0] < 0.95


# Signals of 255; what ffmpeg 5.1 makes of them by "setparams=color_primaries=bt2020:color_trc=TRANSFER,zscale=t=linear:
# npl=203:agamma=0,format=gbrpf32le,zscale=p=bt709,tonemap=CURVE:desat=0,zscale=t=bt709", with clip:peak=1 and mobius.
FFMPEG = {
    HLG: [
        ([0.1, 0.1, 0.1], [28.6, 28.6, 28.6], [28.6, 28.6, 28.6]),
        ([0.4, 0.35, 0.3], [120.1, 99.1, 86.6], [120.1, 99.1, 86.6]),
        ([0.3, 0.45, 0.4], [47.1, 130.6, 114.1], [47.1, 130.6, 114.1]),
        ([0.75, 0.7, 0.65], [255.0, 212.9, 191.9], [218.7, 182.6, 164.7]),
        ([0.75, 0.75, 0.75], [255.0, 255.0, 255.0], [214.9, 214.9, 214.9]),
        ([0.9, 0.9, 0.85], [255.0, 253.4, 223.1], [240.5, 239.0, 210.4]),
    ],
    PQ: [  # mobius with peak=4.926, which is 1,000 cd/m2
        ([0.1, 0.1, 0.1], [17.4, 17.4, 17.4], [17.4, 17.4, 17.4]),
        ([0.35, 0.3, 0.28], [105.0, 69.6, 63.9], [105.0, 69.6, 63.9]),
        ([0.3, 0.38, 0.36], [0.0, 111.7, 97.8], [0.0, 111.7, 97.8]),
        ([0.55, 0.52, 0.5], [241.4, 196.0, 181.0], [211.6, 171.9, 158.7]),
        ([0.58, 0.58, 0.58], [254.3, 254.3, 254.3], [216.7, 216.7, 216.7]),
        ([0.7, 0.7, 0.68], [255.0, 253.9, 232.5], [248.2, 247.1, 226.3]),
    ],
}


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_beside_ffmpegs_tone_mapping(transfer):
    """The same where no curve bends; where they do, between its curve that keeps most and the cut."""
    for signal, clip, mobius in FFMPEG[transfer]:
        shown = 255 * to_screen(np.array(signal), special(transfer, 9, None))
        if clip == mobius:
            np.testing.assert_allclose(shown, clip, atol=0.06)
        else:
            assert (shown > np.array(mobius) + 2).all() and (shown < np.array(clip) + 0.06).all()


@pytest.mark.parametrize(
    ("transfer", "primaries", "peak", "expected"),
    [
        # Ordinary: BT.709, untold, the two of BT.601, SMPTE 240M, EBU, sRGB, gammas of old standards, BT.2020's own.
        *((t, p, 4000, None) for t in (0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 255) for p in (1, 2, 5, 6, 7, 22)),
        (HLG, 9, None, (HLG, 9, 1000)),
        (HLG, UNTOLD, 4000, (HLG, 9, 1000)),
        (HLG, 1, None, (HLG, 1, 1000)),
        (PQ, 9, None, (PQ, 9, 1000)),
        (PQ, UNTOLD, 4000, (PQ, 9, 4000)),
        (PQ, 12, 203, (PQ, 12, 203)),
        (PQ, 9, 0, (PQ, 9, 1000)),
        (PQ, 9, 1, (PQ, 9, 1000)),
        (PQ, 9, 65_535, (PQ, 9, 1000)),
        (14, 9, None, (0, 9, 1000)),
        (2, 12, None, (0, 12, 1000)),
        (13, 12, None, (13, 12, 1000)),
        (8, 2, None, (8, 1, 1000)),
        (17, 10, None, None),
    ],
)
def test_special(transfer, primaries, peak, expected):
    assert special(transfer, primaries, peak) == (expected and Encoding(*expected))


@pytest.mark.parametrize(
    "encoding",
    [special(HLG, 9, None), special(PQ, 9, 400), special(PQ, 9, 10_000), special(14, 9, None), special(8, 1, None)],
    ids=str,
)
def test_images(encoding):
    """Within half a step and the table's own error of the formula, over the whole cube, its corners, and near black."""
    grid = np.arange(0, 65_536, 4369)
    cube = np.stack(np.meshgrid(grid, grid, grid, indexing="ij")).reshape(3, 64, 64)
    dark = np.random.default_rng(0).integers(0, 2000, (3, 64, 64))
    planes = np.concatenate([cube, dark], axis=1).astype(np.uint16)
    exact = 255 * to_screen(np.moveaxis(planes, 0, -1) / 65_535, encoding)
    image = ToScreen(encoding)(planes)
    assert image.dtype == np.uint8
    assert np.abs(image - exact).max() < 0.6


def test_full_signal():
    """The sample that is signal 1 can be smaller; what lies above it is 1 too."""
    planes = np.array([32_640, 65_280, 65_535], np.uint16).reshape(1, 1, 3).repeat(3, 0)
    image = ToScreen(special(8, 1, None), 65_280)(planes)
    np.testing.assert_array_equal(image[0, :, 0], [round(255 * 0.5 ** (1 / 2.4)), 255, 255])
