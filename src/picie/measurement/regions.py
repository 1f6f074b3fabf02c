"""Measures of one mask: of its classes, and of its connected regions.

A region consists of edge-connected pixels of one class, as everywhere in picie. Geometry is that of
scikit-image's regionprops; its documentation has the definitions.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.errors import MissingExtraError
from picie.inference.confidence import CERTAIN, Confidence
from picie.postprocessing.regions import label_regions
from picie.postprocessing.upsampling import Mask

__all__ = ["Columns", "class_columns", "region_columns", "regionprops_table"]

Columns = dict[str, NDArray[Any]]
"""Values by the name of their column, all of one length."""

_STRIP = 2**18  # pixels that are counted together: bincount makes copies of 64 bits
_MEASURED = (
    *("label", "area", "bbox", "centroid", "perimeter", "equivalent_diameter_area"),
    *("eccentricity", "intensity_mean"),
)


def regionprops_table() -> Any:
    """The function of scikit-image.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        from skimage.measure import regionprops_table
    except ImportError:
        raise MissingExtraError(
            'picie measure --regions needs scikit-image: pip install "picie[tables]"'
        ) from None
    return regionprops_table


def class_columns(
    mask: Mask, confidence: Confidence, ids: int, *, side: float | None = None, unit: str = ""
) -> Columns:
    """One row per class, in the order of the ids, absent ones too; last, if any, void pixels.

    Args:
        mask: (H, W) ids 0..N-1, or IGNORED (-1).
        confidence: (H, W) of the mask.
        ids: N.
        side: of a pixel, in `unit`; None = unknown.
        unit: "" = there is no column of areas.

    Returns:
        class_id (-1 = void), pixels, share (0..1), regions, confidence (0..1, NaN without pixels),
        and area_UNIT2.
    """
    pixels = _sums(mask, None, ids).astype(np.int64)
    total = _sums(mask, confidence, ids) / CERTAIN
    _, owners = label_regions(mask)
    number = np.append(np.bincount(np.array(owners, np.int64), minlength=ids), 0)
    class_id = np.append(np.arange(ids), -1)
    mean = np.divide(total, pixels, out=np.full(ids + 1, np.nan), where=pixels > 0)
    columns = {
        "class_id": class_id, "pixels": pixels, "share": pixels / mask.size, "regions": number,
        "confidence": mean,
    }  # fmt: skip
    if unit:
        columns[f"area_{unit}2"] = pixels * _area(side)
    shown = slice(None if pixels[-1] else -1)
    return {name: values[shown] for name, values in columns.items()}


def region_columns(
    mask: Mask,
    confidence: Confidence,
    image: NDArray[np.uint8],
    *,
    side: float | None = None,
    unit: str = "",
    is_square: bool = True,
) -> Columns:
    """One row per region, by class and then by the first pixel from the top; void has none.

    Args:
        mask: (H, W) ids, or IGNORED.
        confidence: (H, W) of the mask.
        image: (H, W, 3) RGB.
        side: of a pixel, in `unit`; None = unknown.
        unit: "" = there are no columns with real units.
        is_square: whether pixels are square; perimeters of others are unknown in real units.

    Returns:
        class_id, region (from 1), pixels, left_px, top_px, width_px, height_px, x_px and y_px (of
        the centroid, 0 = middle of the first pixel), perimeter_px, equivalent_diameter_px,
        eccentricity, on_border, red, green and blue (means, 0..255), confidence (0..1); then
        area_UNIT2, perimeter_UNIT and equivalent_diameter_UNIT.
    """
    labels, owners = label_regions(mask)
    values = np.dstack([image, confidence])
    found = regionprops_table()(labels, values, properties=_MEASURED)
    top, left, bottom, right = (found[f"bbox-{number}"] for number in range(4))
    (height, width), pixels = mask.shape, found["area"].astype(np.int64)
    columns: Columns = {
        "class_id": np.array(owners, np.int64), "region": found["label"], "pixels": pixels,
        "left_px": left, "top_px": top, "width_px": right - left, "height_px": bottom - top,
        "x_px": found["centroid-1"], "y_px": found["centroid-0"],
        "perimeter_px": found["perimeter"],
        "equivalent_diameter_px": found["equivalent_diameter_area"],
        "eccentricity": found["eccentricity"],
        "on_border": (left == 0) | (top == 0) | (right == width) | (bottom == height),
        **{name: found[f"intensity_mean-{n}"] for n, name in enumerate(("red", "green", "blue"))},
        "confidence": found["intensity_mean-3"] / CERTAIN,
    }  # fmt: skip
    if unit:
        length = np.nan if side is None else side
        columns |= {
            f"area_{unit}2": pixels * _area(side),
            f"perimeter_{unit}": columns["perimeter_px"] * (length if is_square else np.nan),
            f"equivalent_diameter_{unit}": columns["equivalent_diameter_px"] * length,
        }
    return columns


def _area(side: float | None) -> float:
    return np.nan if side is None else side * side


def _sums(mask: Mask, values: Confidence | None, ids: int) -> NDArray[np.float64]:
    """(N + 1,) sum of values, or number of pixels, of each id; void is the last."""
    sums = np.zeros(ids + 1)
    flat = mask.reshape(-1)
    for start in range(0, flat.size, _STRIP):
        part = slice(start, start + _STRIP)
        places = np.where(flat[part] < 0, ids, flat[part]).astype(np.int64)
        weights = None if values is None else values.reshape(-1)[part]
        sums += np.bincount(places, weights, minlength=ids + 1)
    return sums
