"""Cards of the nodes of the tree."""

import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.annotation.features import feature_maps
from picie.clustering.tree import node_members
from picie.data.folder import open_folder
from picie.data.images import read_image
from picie.data.reading import Reading
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.studio.cards import Cards
from picie.studio.index import Index
from picie.studio.photos import Photos
from picie.visualization.thumbnails import PATCH_SIDE, cut_patch

Ids = NDArray[np.integer[Any]]


class Shown:
    """Cards of a model; photos are looked at when `look` is called."""

    def __init__(self, model: Segmenter, scenes: Path, folder: Path) -> None:
        photos = Photos(open_folder(scenes, reading=Reading()), folder / "cache")
        self.photos, self.model = photos, model
        self.index = Index(photos, model, folder / "index")
        self.maps: dict[int, Ids] = {}
        self.nodes = node_members(model.network.centroid_set())
        self.cards = Cards(self.index, self.nodes, lambda number: self.maps[number])

    def look(self, *numbers: int) -> None:
        whole = self.model.cut(self.index.leaves)
        for number in numbers:
            one = replace(self.photos.folder, photos=(self.photos.folder.photos[number],))
            ((_, features),) = feature_maps(self.model, one)
            assert features is not None
            self.maps[number] = whole.classify(features[None])[0].argmax(0).numpy()
            self.index.add(number, features)


@pytest.fixture
def shown(model: Segmenter, scenes: Path, tmp_path: Path) -> Iterator[Shown]:
    made = Shown(model, scenes, tmp_path)
    yield made
    made.index.close()


def crop_of(shown: Shown, url: str) -> bytes:
    address, _, query = url.partition("?")
    assert address == "/api/crop"
    values = dict(part.split("=") for part in query.split("&"))
    return shown.cards.crop(int(values["node"]), int(values["photo"]), int(values["cell"]))


def test_a_card_says_what_the_photos_so_far_say(shown: Shown) -> None:
    top = len(shown.nodes) - 1
    empty = shown.cards.card(top)
    assert (empty["share"], empty["photos"], empty["ready"], empty["heat"]) == (0.0, 0, 0.0, None)
    assert empty["typical"] == empty["doubtful"] == []
    shown.look(0, 4, 8)
    card = shown.cards.card(top)
    assert card["share"] == pytest.approx(1, abs=1e-4)
    assert (card["photos"], card["ready"]) == (3, 3 / 9)
    assert card["heat"].startswith("data:image/png;base64,")
    assert {one["photo"] for one in card["typical"]} == {0, 4, 8}
    assert card["node"] == top


@pytest.mark.parametrize("node", range(0, 15, 2))
def test_shares_are_those_of_the_leaves(shown: Shown, node: int) -> None:
    shown.look(*range(9))
    leaves = shown.nodes[node]
    parts = [np.isin(ids, leaves).mean() for ids in shown.maps.values()]
    card = shown.cards.card(node)
    assert card["share"] == pytest.approx(np.mean(parts), abs=1e-4)
    assert card["photos"] == sum(part >= 0.001 for part in parts)
    crops = [*card["typical"], *card["doubtful"]]
    for crop in crops:
        assert crop["name"] == shown.photos.names[crop["photo"]]
        assert np.isin(shown.maps[crop["photo"]], leaves).any()
    for kind, most in (("typical", 6), ("doubtful", 3)):
        chosen = [crop["photo"] for crop in card[kind]]
        assert len(chosen) == len(set(chosen)) <= most
        stretches = [photo * min(2 * most, 9) // 9 for photo in chosen]
        assert len(set(stretches)) == len(stretches)
    assert bool(crops) == (card["share"] > 0)


def test_crops_are_drawn_as_in_the_report(shown: Shown) -> None:
    shown.look(*range(9))
    node = len(shown.nodes) - 2
    card = shown.cards.card(node)
    crop = card["typical"][0]
    content = crop_of(shown, crop["url"])
    cell = int(crop["url"].rpartition("=")[2])
    centre = cell // 65536 / 65536, cell % 65536 / 65536
    image = read_image(shown.photos.folder.photos[crop["photo"]].path)
    belongs = np.isin(shown.maps[crop["photo"]], shown.nodes[node])
    assert content == cut_patch(image, belongs, centre, 4_000)
    assert Image.open(io.BytesIO(content)).size == (PATCH_SIDE, PATCH_SIDE)


def test_crops_are_kept(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    shown.look(*range(9))
    monkeypatch.setattr(sys.modules[Cards.__module__], "_KEPT", 2)
    urls = [one["url"] for one in shown.cards.card(len(shown.nodes) - 1)["typical"][:3]]
    first = [crop_of(shown, url) for url in urls]
    assert len(shown.cards._crops) == 2
    shown.maps.clear()  # so that none can be made anew
    assert crop_of(shown, urls[2]) == first[2]
    with pytest.raises(KeyError):
        crop_of(shown, urls[0])


def test_what_does_not_exist_is_refused(shown: Shown, tmp_path: Path) -> None:
    shown.look(0)
    for node in (-1, len(shown.nodes)):
        with pytest.raises(ConfigError, match="there is no node"):
            shown.cards.card(node)
        with pytest.raises(ConfigError, match="there is no node"):
            shown.cards.crop(node, 0, 0)
    for photo, cell in ((-1, 0), (9, 0), (0, -1), (0, 2**32)):
        with pytest.raises(ConfigError, match="has no cell"):
            shown.cards.crop(0, photo, cell)
    gone = replace(shown.photos.folder.photos[0], file=str(tmp_path / "gone.jpg"))
    shown.photos.folder = replace(shown.photos.folder, photos=(gone,) * 9)
    with pytest.raises(DataError, match=r"gone\.jpg"):
        shown.cards.crop(0, 0, 0)
