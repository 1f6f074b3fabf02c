import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.reading import Reading
from picie.data.stored import Stored, is_alpha
from picie.errors import DataError

BANDS = np.random.default_rng(0).integers(0, 256, (6, 9, 4), dtype=np.uint8)


def shown(stored: Stored, **reading: object) -> NDArray[np.uint8]:
    return stored.picture("a.tif", Reading(**reading))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "expected"), [(1, (0, 0, 0)), (2, (0, 0, 0)), (3, (0, 1, 2)), (4, (0, 1, 2))]
)
def test_the_first_three_bands_or_one_are_shown(count: int, expected: tuple[int, ...]) -> None:
    assert np.array_equal(shown(Stored(BANDS[..., :count])), BANDS[..., expected])


def test_bands_are_chosen() -> None:
    assert np.array_equal(shown(Stored(BANDS), bands=(4, 3, 2)), BANDS[..., [3, 2, 1]])
    assert np.array_equal(shown(Stored(BANDS), bands=(2,)), BANDS[..., [1, 1, 1]])
    # A band that is shown is no opacity.
    assert np.array_equal(shown(Stored(BANDS, "true"), bands=(4, 3, 2)), BANDS[..., [3, 2, 1]])
    with pytest.raises(DataError, match=r"a\.tif: has 4 bands, but --bands asks for 5; choose"):
        shown(Stored(BANDS), bands=(5,))
    with pytest.raises(DataError, match=r"a\.tif: has 1 band, but"):
        shown(Stored(BANDS[..., :1]), bands=(1, 2, 3))


def test_of_two_channels_one_is_red_and_one_is_green() -> None:
    picture = shown(Stored(BANDS[..., :2], channels=True))
    assert np.array_equal(picture[..., :2], BANDS[..., :2])
    assert (picture[..., 2] == 0).all()


def test_deep_values_are_stretched_and_bytes_are_not() -> None:
    deep = BANDS.astype(np.uint16) * 16
    assert np.array_equal(shown(Stored(BANDS), stretch=(0, 9)), BANDS[..., :3])
    assert np.array_equal(shown(Stored(deep), stretch=(0, 4080)), BANDS[..., :3])
    own = Stored(deep, bits=12)
    assert np.abs(shown(own).astype(int) - BANDS[..., :3]).max() <= 1  # by its own values
    assert (own.is_deep, Stored(BANDS).is_deep) == (True, False)


def test_a_sample_has_no_missing_data() -> None:
    values = np.linspace(0, 1, 200 * 300).reshape(200, 300, 1)
    values[:50], values[50:60], values[60:70] = np.nan, np.inf, -9999
    sample = Stored(values, nodata=-9999).sample("a.tif", Reading())
    assert (sample.name, sample.kind) == ("a.tif", "float64")
    assert sample.values.size == 130 * 300
    assert sample.values.min() >= 0
    large = Stored(np.zeros((2000, 3000, 3), np.uint16)).sample("a.tif", Reading())
    assert 150_000 < large.values.size < 250_000


@pytest.mark.parametrize(
    ("band", "colours", "expected"),
    [
        ([0, 0, 255, 255], [1, 2, 3, 4], True),
        ([255, 255, 255, 255], [1, 2, 3, 4], True),
        ([0, 90, 255, 255], [1, 2, 3, 4], True),  # a soft edge
        ([0, 90, 120, 255], [1, 2, 3, 4], False),
        ([0, 0, 0, 120], [1, 2, 3, 4], False),
        ([0, 0, 0, 0], [1, 2, 3, 4], False),
        ([0, 0, 0, 0], [7, 7, 7, 7], True),
    ],
)
def test_what_looks_like_opacity(band: list[int], colours: list[int], expected: bool) -> None:
    for kind, factor in ((np.uint8, 1), (np.uint16, 257), (np.float32, 1), (np.float32, 1 / 255)):
        values = (np.array([band]) * factor).astype(kind)
        assert is_alpha(values, np.array([colours])[..., None]) == expected
