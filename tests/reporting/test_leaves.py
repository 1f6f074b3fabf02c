"""What photos show of nodes: sums of what is below them, and pieces of it."""

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.data.folder import Photo
from picie.data.photo_loader import LoadedPhoto
from picie.reporting.content import Crop, Node
from picie.reporting.leaves import LeafCollector

# Quarters of photos: 0 and 1 join as n4, 2 and 3 as n5, all as n6.
MERGES = ((0, 1, 1.0), (2, 3, 2.0), (4, 5, 3.0))
COLOURS = ((200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0))
QUARTERS = np.array([[0, 1], [2, 3]]).repeat(40, 0).repeat(40, 1)
EVEN = np.array([0.25, 0.25, 0.25, 0.25])


def collected(
    *,
    ids: tuple[int, ...] = (0, 1, 2, 3),
    shares: NDArray[np.float64] = EVEN,
    merges: tuple[tuple[int, int, float], ...] = MERGES,
    leaves: NDArray[np.int64] = QUARTERS,
    photos: int = 12,
) -> tuple[dict[int, Node], tuple[Crop, ...]]:
    collector = LeafCollector(merges, np.array(ids), photos)
    image = np.array(COLOURS, np.uint8)[leaves % 4].repeat(3, 0).repeat(3, 1)
    values = np.random.default_rng(0).random((photos, *leaves.shape)).astype(np.float32)
    for number in range(photos):
        photo = LoadedPhoto(Photo(f"p{number}", f"p{number}.png", None), image, None)
        collector.add(photo, leaves, values[number], number)
    return collector.finish(shares)


def test_a_node_is_the_sum_of_those_below_it() -> None:
    nodes, _ = collected(shares=np.array([0.4, 0.2, 0.3, 0.1]))
    assert [nodes[number].share for number in range(7)] == pytest.approx(
        [0.4, 0.2, 0.3, 0.1, 0.6, 0.4, 1]
    )
    assert [nodes[number].centroids for number in range(7)] == [1, 1, 1, 1, 2, 2, 4]
    assert {node.photos for node in nodes.values()} == {12}


def test_centroids_of_one_id_share_its_pixels_as_they_share_its_cells() -> None:
    nodes, _ = collected(ids=(0, 0, 1, 1), shares=np.array([0.6, 0.4]))
    assert [nodes[number].share for number in range(4)] == pytest.approx([0.3, 0.3, 0.2, 0.2])


def test_pieces_are_of_what_is_below_a_node_and_the_veil_is_clear_there() -> None:
    nodes, crops = collected()
    assert [len(nodes[number].crops) for number in range(7)] == [4, 4, 4, 4, 6, 6, 6]
    for number, own in {0: (0,), 4: (0, 1), 6: (0, 1, 2, 3)}.items():
        assert len({crops[crop].name for crop, _ in nodes[number].crops}) > 3
        for crop, over in nodes[number].crops:
            image = Image.open(io.BytesIO(crops[crop].image)).convert("RGB")
            pixels = np.array(image.resize((72, 72)), int)
            clear = np.array(Image.open(io.BytesIO(over)).convert("RGBA"))[..., 3] == 0
            colours = np.array(COLOURS)
            nearest = np.abs(pixels[:, :, None] - colours).sum(-1).argmin(-1)
            assert (np.isin(nearest, own) == clear).mean() > 0.94  # borders are blurred
            assert clear.any()


def test_each_centroid_is_shown_by_its_share() -> None:
    nodes, crops = collected(shares=np.array([0.5, 0.25, 0.2, 0.05]), photos=40)
    shown = [crop for crop, _ in nodes[6].crops]
    assert len(set(shown)) == 6
    leaf = {crop: number for number in range(4) for crop, _ in nodes[number].crops}
    counts = [[leaf[crop] for crop in shown].count(number) for number in range(4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] >= 3
    assert len(crops) == 16


def test_one_photo_may_be_shown_twice() -> None:
    nodes, _ = collected(photos=1)
    assert [len(nodes[number].crops) for number in (0, 4, 6)] == [1, 2, 4]


def test_of_a_large_tree_the_last_nodes_are_shown() -> None:
    count = 300
    merges = ((0, 1, 1.0), *((count + row - 1, row + 1, row + 1.0) for row in range(1, count - 1)))
    leaves = np.arange(count)[:, None]
    nodes, crops = collected(
        ids=(0,) * count, shares=np.ones(1), merges=merges, leaves=leaves, photos=1
    )
    assert len(nodes) == 2 * 256 - 1
    assert max(nodes) == 2 * count - 2
    assert nodes[count + 43].centroids == 45  # the first merges are one leaf
    assert nodes[2 * count - 2].share == pytest.approx(1)
    assert len(crops) <= 512
