"""Cells that are kept until clusters are known."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering import affinities
from picie.clustering.affinities import ContactCells, count_contacts, neighbour_contrasts
from picie.config import make_config

SIZE = 64
CONFIG = make_config(size=SIZE, base_size=SIZE)


def make_images(count: int = 4, side: int = 16) -> tuple[Tensor, Tensor, Tensor]:
    """Features on a grid of 4 pixels, images, centroids."""
    draws = torch.Generator().manual_seed(0)
    maps = torch.randn(count, 5, side, side, generator=draws)
    return (
        maps,
        torch.rand(count, 3, SIZE, SIZE, generator=draws),
        torch.randn(6, 5, generator=draws),
    )


def kept(*parts: slice, places: Tensor | None = None) -> ContactCells:
    maps, images, _ = make_images()
    places = torch.arange(4) if places is None else places
    cells = ContactCells(CONFIG.size)
    for part in parts:
        cells.add(maps[part], images[part], places[part])
    return cells


def test_contacts_are_those_of_cells_of_eight_pixels() -> None:
    maps, images, centroids = make_images()
    features = F.normalize(F.avg_pool2d(maps, 2), dim=1)
    near = torch.einsum("bdhw,pd->bphw", features.half().float(), F.normalize(centroids, dim=1))
    both = [neighbour_contrasts(x) for x in (F.avg_pool2d(images, 8), features)]
    wanted = count_contacts(near.argmax(1), both, 6)
    found = kept(slice(None)).contacts(3 * centroids)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert found[0].sum() == 2 * 4 * 112


def test_batches_do_not_matter_and_parts_add_up() -> None:
    centroids = make_images()[2]
    whole = kept(slice(None)).contacts(centroids)
    single = kept(*(slice(i, i + 1) for i in range(4)))
    torch.testing.assert_close(single.contacts(centroids), whole)
    parts = [kept(part).contacts(centroids) for part in (slice(0, 1), slice(1, None))]
    torch.testing.assert_close(parts[0] + parts[1], whole)


@pytest.mark.parametrize(("most", "number"), [(2 * 64, 2), (3 * 64 + 63, 3), (1, 1), (10**6, 4)])
def test_only_the_first_places_of_the_sample_are_kept(
    most: int, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of them this process has, and in whatever order they come."""
    monkeypatch.setattr(affinities, "_MOST_CELLS", most)
    places = torch.tensor([2, 0, 3, 1])
    found = kept(slice(0, 3), slice(3, 4), places=places).contacts(make_images()[2])
    assert found[0].sum() == 2 * 112 * number
    monkeypatch.setattr(affinities, "_MOST_CELLS", 10**6)
    chosen = [slice(i, i + 1) for i in range(4) if places[i] < number]
    torch.testing.assert_close(found, kept(*chosen).contacts(make_images()[2]))


def test_none_is_no_contact() -> None:
    maps, images, centroids = make_images()
    cells = ContactCells(CONFIG.size)
    cells.add(maps[:0], images[:0], torch.arange(0))
    assert not cells.contacts(centroids).any()
