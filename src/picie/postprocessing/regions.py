"""Connected regions of a mask, and the removal of small ones.

A region consists of edge-connected pixels of one id; touching corners do not connect.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.errors import ConfigError
from picie.postprocessing.upsampling import Mask
from picie.types import IGNORED

__all__ = ["boxes_of", "check_area", "fill_small_regions", "label_regions"]


def check_area(flag: str, pixels: int) -> None:
    """Refuse a negative smallest area of regions.

    Args:
        flag: name in the message.
        pixels: the area; 0 = regions of any size.

    Raises:
        ConfigError: it is negative.
    """
    if pixels < 0:
        raise ConfigError(f"{flag} {pixels}: give 0 or more pixels")


def boxes_of(mask: Mask) -> list[tuple[slice, slice] | None]:
    """Bounding box (rows, columns) of each id from 0 on; None if it has no pixels."""
    from scipy import ndimage  # late: it takes a while to load

    slices: Any = ndimage.find_objects((mask + 1).clip(0).astype(np.int32))
    boxes: list[tuple[slice, slice] | None] = slices
    return boxes


def label_regions(mask: Mask) -> tuple[NDArray[np.int32], list[int]]:
    """Number the regions, by id and then by their first pixel from the top.

    Args:
        mask: (H, W) ids; negative ids belong to no region.

    Returns:
        (H, W) region numbers from 1, 0 = none; and the id of each region.
    """
    from scipy import ndimage  # late: it takes a while to load

    labels = np.zeros(mask.shape, np.int32)
    owners: list[int] = []
    for number, box in enumerate(boxes_of(mask)):
        if box is None:
            continue
        part, count = ndimage.label(mask[box] == number)
        labels[box] += np.where(part > 0, part + len(owners), 0).astype(np.int32)
        owners += [number] * count
    return labels, owners


def fill_small_regions(mask: Mask, smallest: int) -> Mask:
    """Give the pixels of small regions to the classes around them.

    A small region takes the id that it shares the longest boundary with, the lowest of several;
    regions among other small ones wait until those have theirs. A region that only ignored pixels
    surround becomes ignored. Ignored pixels stay. If all regions are small, the largest is kept.

    Args:
        mask: (H, W) ids, or IGNORED.
        smallest: number of pixels from which on a region stays; 0 and 1 change nothing.

    Returns:
        (H, W), without regions of fewer pixels.
    """
    if smallest <= 1:
        return mask
    labels, owners = label_regions(mask)
    sizes = np.bincount(labels.ravel(), minlength=len(owners) + 1)
    sizes[0] = np.iinfo(sizes.dtype).max  # ignored pixels
    small = sizes < smallest
    if not small.any():
        return mask
    if small[1:].all():
        small[1 + sizes[1:].argmax()] = False
    ids = np.array([IGNORED, *owners])
    _settle(ids, small, *_contacts(labels, small))
    filled: Mask = ids[labels]
    return filled


def _contacts(
    labels: NDArray[np.int32], small: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Small regions, regions beside them, and the number of edges between the two."""
    pairs = []
    for first, second in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        edge = (first != second) & (small[first] | small[second])
        pairs += [(first[edge], second[edge]), (second[edge], first[edge])]
    inner = np.concatenate([one for one, _ in pairs]).astype(np.int64)
    outer = np.concatenate([other for _, other in pairs]).astype(np.int64)
    # Ignored pixels, 0, are no neighbours.
    there = small[inner] & (outer > 0)
    keys, lengths = np.unique(inner[there] * len(small) + outer[there], return_counts=True)
    inner, outer = np.divmod(keys, len(small))
    return inner, outer, lengths


def _settle(
    ids: NDArray[np.int64],
    small: NDArray[np.bool_],
    inner: NDArray[np.int64],
    outer: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> None:
    """Replace the ids of small regions in place, from larger regions inwards."""
    waiting = small.copy()
    while (ready := waiting[inner] & ~waiting[outer]).any():
        count = int(ids.max()) + 1
        keys, places = np.unique(inner[ready] * count + ids[outer[ready]], return_inverse=True)
        total = np.bincount(places, lengths[ready]).astype(np.int64)
        regions, found = np.divmod(keys, count)
        # The last of each region has the longest boundary, and of those the lowest id.
        order = np.lexsort((-found, total, regions))
        last = np.append(regions[order][1:] != regions[order][:-1], True)
        chosen = order[last]
        ids[regions[chosen]] = found[chosen]
        waiting[regions[chosen]] = False
    ids[waiting] = IGNORED
