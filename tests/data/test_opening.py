import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from picie.data import opening
from picie.data.opening import check_pixels, in_turn, open_within, orientation_of, turned
from picie.errors import DataError


def test_a_file_is_opened_within_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.new("L", (30, 20)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow itself would raise
    with open_within(path, ("PNG",), 600) as image:
        assert image.size == (30, 20)
    with (
        pytest.raises(DataError, match=r"a\.png: has 30 x 20 pixels, more than 599; raise"),
        open_within(path, ("PNG",), 599),
    ):
        pass
    with pytest.raises(DataError, match=r"has 20000 x 20000 pixels, more than 268,435,456"):
        check_pixels(path, (20_000, 20_000), 2**28)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turning_is_that_of_pillow(orientation: int) -> None:
    values = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    image = Image.fromarray(values)
    image.getexif()[274] = orientation
    assert orientation_of(image) == orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(turned(values, orientation), expected)
    assert np.array_equal(turned(values[..., 0], orientation), expected[..., 0])


def test_large_images_are_decoded_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LARGE", 99)
    at_once, most = 0, 0

    def work() -> None:
        nonlocal at_once, most
        with in_turn((10, 10)), in_turn((10, 10)):
            at_once += 1
            most = max(most, at_once)
            time.sleep(0.01)
            at_once -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
