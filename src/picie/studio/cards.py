"""Cards: what a cluster is, shown by crops of photos, for any node of the tree.

A card answers with what the photos that were looked at so far say. Its crops come from different
stretches of the photos, as in the report, because neighbours by name are often alike. They are
drawn when the page asks for them.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.data.images import read_reduced
from picie.errors import ConfigError
from picie.reporting.leaves import OCCURS
from picie.studio.index import Index
from picie.visualization.thumbnails import cut_patch, data_uri, heat_map

__all__ = ["CROP_KIND", "Cards", "LeafMap"]

LeafMap = Callable[[int], "NDArray[np.integer[Any]]"]
"""The (h, w) leaves of the cells of a photo, by its number."""

CROP_KIND = "image/webp"
"""Media type of a crop."""

_TYPICAL, _DOUBTFUL = 6, 3
_READ = 1024  # long side in pixels at which a photo is read for a crop, at least
_BYTES = 4_000  # of a crop
_KEPT = 1_000  # crops in memory
_UNITS = 2**16  # of positions relative to a side


class Cards:
    """The cards of a model.

    Args:
        index: of the photos.
        nodes: the leaves below each node of the tree, in scipy's numbering.
        leaf_map: of a photo, from the model as it was trained.
    """

    def __init__(self, index: Index, nodes: Sequence[tuple[int, ...]], leaf_map: LeafMap) -> None:
        self._index, self._nodes, self._leaf_map = index, nodes, leaf_map
        self._crops: OrderedDict[tuple[int, int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def card(self, node: int) -> dict[str, Any]:
        """The card of a node, as plain values.

        Args:
            node: 0 to 2P - 2.

        Returns:
            share: of the cells of the photos so far, 0..1; photos: number of those in which it
            occurs; typical and doubtful: crops; heat: an image as a data URI, or None; ready: share
            of the photos that were looked at, 0..1.

        Raises:
            ConfigError: no such node.
        """
        leaves, index = self._leaves(node), self._index
        known = index.known
        shares = index.shares(leaves)
        card: dict[str, Any] = {
            "node": node,
            "share": min(1.0, float(shares.mean())) if len(shares) else 0.0,
            "photos": int((shares >= OCCURS).sum()),
            "typical": self._crops_of(node, leaves, _TYPICAL, typical=True),
            "doubtful": self._crops_of(node, leaves, _DOUBTFUL, typical=False),
            "heat": None,
            "ready": index.seen / max(len(known), 1),
        }
        if card["share"]:
            card["heat"] = data_uri("image/png", heat_map(index.heat(leaves)))
        return card

    def crop(self, node: int, photo: int, cell: int) -> bytes:
        """A crop as a WebP file: what belongs to others is veiled, a ring is at the cell.

        Args:
            node: 0 to 2P - 2.
            photo: number of the photo.
            cell: 65536 times its row, plus its column, both in 65536ths of height and width.

        Raises:
            ConfigError: no such node, photo or cell.
            DataError: the photo cannot be read.
        """
        leaves, photos = self._leaves(node), self._index.photos
        if not 0 <= photo < len(photos) or not 0 <= cell < _UNITS**2:
            raise ConfigError(f"photo {photo} has no cell {cell}")
        key = node, photo, cell
        with self._lock:
            if key in self._crops:
                self._crops.move_to_end(key)
                return self._crops[key]
        one = photos.folder.photos[photo]
        image, _ = read_reduced(one.path, _READ, photos.folder.reading, one.page)
        belongs = np.isin(self._leaf_map(photo), leaves)
        row, column = divmod(cell, _UNITS)
        content = cut_patch(image, belongs, (row / _UNITS, column / _UNITS), _BYTES)
        with self._lock:
            self._crops[key] = content
            while len(self._crops) > _KEPT:
                self._crops.popitem(last=False)
        return content

    def _leaves(self, node: int) -> tuple[int, ...]:
        if not 0 <= node < len(self._nodes):
            raise ConfigError(f"there is no node {node}; the tree has 0 to {len(self._nodes) - 1}")
        return self._nodes[node]

    def _crops_of(
        self, node: int, leaves: Sequence[int], most: int, *, typical: bool
    ) -> list[dict[str, Any]]:
        """The best photos for a node, at most one of each stretch, best first."""
        numbers, cells = self._index.extremes(leaves, typical=typical)
        values = cells["value"].astype(np.float64) * (1 if typical else -1)
        total = len(self._index.photos)
        stretches = numbers * min(2 * most, total) // total
        order = np.lexsort((numbers, -values))
        first = order[np.sort(np.unique(stretches[order], return_index=True)[1])]
        found = []
        for place in first[:most].tolist():
            photo, cell = int(numbers[place]), cells[place]
            where = int(cell["row"]) * _UNITS + int(cell["column"])
            url = f"/api/crop?node={node}&photo={photo}&cell={where}"
            name = self._index.photos.names[photo]
            found.append({"photo": photo, "name": name, "url": url})
        return found
