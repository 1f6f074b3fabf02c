"""The best pieces: few, from different stretches of the photos, whatever their order."""

import numpy as np
import pytest

from picie.reporting.pieces import BestPieces, Piece

PIXELS = np.zeros((1, 1, 3), np.uint8)


def best(values: dict[int, float], *, photos: int, most: int = 2) -> list[str]:
    found = BestPieces(1, most, photos)
    for photo, value in values.items():
        if found.admits(0, value, photo):
            found.add(0, value, photo, Piece(str(photo), value, PIXELS))
    return [piece.name for piece in found.finish()[0]]


def test_neighbours_do_not_crowd_out_the_others() -> None:
    values = {photo: 0.9 - 0.01 * photo for photo in range(8)}  # the first ones are the best
    assert best(values, photos=8) == ["0", "2"]


def test_few_photos_are_each_their_own_stretch() -> None:
    assert best({0: 0.1, 1: 0.3, 2: 0.2}, photos=3) == ["1", "2"]


def test_equal_ones_come_in_their_order() -> None:
    assert best(dict.fromkeys(range(8), 0.5), photos=8) == ["0", "2"]


@pytest.mark.parametrize("photos", [1, 5, 1_000])
def test_the_best_of_all_is_always_kept(photos: int) -> None:
    values = np.random.default_rng(0).random(photos)
    found = best(dict(enumerate(values.tolist())), photos=photos)
    assert found[0] == str(int(values.argmax()))
    assert len(found) == min(2, photos)
