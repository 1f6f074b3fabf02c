"""The image that shows a pixel to judge."""

import numpy as np
import pytest

from picie.visualization.crops import SIDE, marked_crop


def crop(
    size: tuple[int, int], point: tuple[float, float]
) -> tuple["np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", int]:
    image = np.full((*size, 3), 200, np.uint8)
    belongs = np.zeros(size, np.bool_)
    belongs[:, : size[1] // 2] = True
    sheet = np.asarray(marked_crop(image, belongs, point))
    return sheet, (sheet.shape[1] - 12) // 2


@pytest.mark.parametrize("size", [(480, 640), (640, 480), (64, 64), (5, 300), (300, 5), (1, 1)])
def test_panels_of_photos_of_any_size(size: tuple[int, int]) -> None:
    for point in ((0.5, 0.5), (size[1] - 0.5, size[0] - 0.5), (size[1] / 2, size[0] / 2)):
        sheet, width = crop(size, point)
        assert max(sheet.shape[0], width) == SIDE
        assert sheet.dtype == np.uint8


def test_what_is_not_of_the_class_is_dark_in_the_second_panel() -> None:
    sheet, width = crop((200, 400), (200.5, 100.5))
    photo, shown = sheet[:, :width], sheet[:, -width:]
    assert (photo[0] == 200).all()
    assert (shown[0, : width // 2 - 4] == 200).all()
    assert (shown[0, width // 2 + 4 :] == 70).all()


@pytest.mark.parametrize("point", [(200.5, 100.5), (0.5, 0.5), (399.5, 199.5), (300.5, 20.5)])
def test_the_ring_is_around_the_pixel_and_leaves_it_free(point: tuple[float, float]) -> None:
    sheet, width = crop((200, 400), point)
    photo = sheet[:, :width]
    scale = SIDE / 100  # half of the short side is shown
    left, top = min(max(point[0] - 50, 0), 300), min(max(point[1] - 50, 0), 100)
    x, y = (point[0] - int(left)) * scale, (point[1] - int(top)) * scale
    rows, columns = np.nonzero((photo != 200).any(-1))
    away = np.hypot(columns + 0.5 - x, rows + 0.5 - y)
    assert away.min() > 5
    assert away.max() < 16
    assert (photo == 255).all(-1).any()
