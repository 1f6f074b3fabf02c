"""An auto-annotation function for CVAT: the masks of a model as shapes of a task.

    cvat-cli task auto-annotate 12 --function-module picie.integrations.cvat -p model=str:runs/first

CVAT's command line calls `create` with what follows each -p, then `detect` with each image of the
task. The classes of the model are labels; each connected region becomes a shape of its own. Pixels
that are ignored belong to no shape.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from picie.errors import ConfigError, MissingExtraError
from picie.export.formats.layout import MIN_AREA
from picie.export.formats.names import class_names
from picie.export.formats.polygons import one_ring, regions, simplified
from picie.inference.confidence import CERTAIN
from picie.inference.predict_each import filled
from picie.inference.segmenter import Prediction, load
from picie.postprocessing.regions import check_area, label_regions
from picie.postprocessing.upsampling import Mask

if TYPE_CHECKING:
    from cvat_sdk.auto_annotation import (
        DetectionAnnotation,
        DetectionFunctionContext,
        DetectionFunctionSpec,
    )

__all__ = ["Function", "Shapes", "create"]

Shapes = Literal["mask", "polygon"]
"""Kinds of shapes that regions become."""

_LONGEST = 64  # characters of a label, in CVAT


def create(
    model: str = "",
    shapes: Shapes = "mask",
    min_area: int = MIN_AREA,
    tolerance: float = 0.0,
    device: str = "",
) -> "Function":
    """The function that CVAT's command line looks for in a module.

    Args:
        model: run folder of a trained model, or its name on the Hugging Face Hub.
        shapes: mask, or polygon. A label of a task that allows one kind only needs that one.
        min_area: regions of fewer pixels go to the classes around them; 0 = keep all.
        tolerance: maximum distance in pixels between a polygon and the boundary of its region.
        device: auto, cpu, cuda or mps; as in training if empty.

    Raises:
        ConfigError: no model, an impossible setting, or a class whose name is too long.
        ModelError: the model cannot be read.
        MissingExtraError: cvat_sdk is not installed, or OpenCV for a tolerance.
    """
    if not model:
        raise ConfigError("which model? Give its run folder: -p model=str:runs/first")
    if shapes not in get_args(Shapes):
        raise ConfigError(f"shapes = {shapes!r}: give {' or '.join(get_args(Shapes))}")
    try:
        check_area("min_area", min_area)
        possible = 0 <= tolerance < np.inf
    except TypeError:
        raise ConfigError(
            f"min_area = {min_area!r}, tolerance = {tolerance!r}: give numbers, such as "
            "-p min_area=int:20 -p tolerance=float:1"
        ) from None
    if not possible:
        raise ConfigError(f"tolerance = {tolerance:g}: give 0 or more pixels")
    try:
        import cvat_sdk.auto_annotation
    except ImportError:
        raise MissingExtraError(
            'picie.integrations.cvat needs cvat-sdk: pip install "picie[cvat]"'
        ) from None
    return Function(cvat_sdk.auto_annotation, model, shapes, min_area, tolerance, device)


class Function:
    """A detection function by the protocol of `cvat_sdk.auto_annotation`.

    Args:
        sdk: that module.
        model: as for `create`, like the others.
        shapes: as there.
        min_area: as there.
        tolerance: as there.
        device: as there.
    """

    def __init__(
        self, sdk: Any, model: str, shapes: Shapes, min_area: int, tolerance: float, device: str
    ) -> None:
        self._sdk, self._shapes = sdk, shapes
        self._min_area, self._tolerance = min_area, tolerance
        self._model = load(model, device=device)
        self._names = class_names("cvat", self._model.names)
        for name in self._names:
            if len(name) > _LONGEST:
                raise ConfigError(
                    f"{model}: class {name!r} has {len(name)} characters, but a label of CVAT "
                    f"has {_LONGEST} at most; give it a shorter name with picie name"
                )

    @property
    def spec(self) -> "DetectionFunctionSpec":
        """The labels: names, colours and the kind of shapes."""
        colours = self._model.colours.tolist()
        spec: DetectionFunctionSpec = self._sdk.DetectionFunctionSpec(
            labels=[
                self._sdk.label_spec(
                    name, number, color=f"#{bytes(colours[number]).hex()}", type=self._shapes
                )
                for number, name in enumerate(self._names)
            ]
        )
        return spec

    def detect(
        self, context: "DetectionFunctionContext", image: Image.Image
    ) -> "list[DetectionAnnotation]":
        """The regions of an image, with their mean confidence as score.

        Args:
            context: a threshold of the confidence, and whether masks must become polygons.
            image: of the task.

        Returns:
            one shape per connected region, by class and then from the top.
        """
        seen = filled(self._model.predict_image(image), self._min_area)
        assert seen.mask is not None  # of an image in memory
        polygon = self._shapes == "polygon" or context.conv_mask_to_poly
        make = self._sdk.polygon if polygon else self._sdk.mask
        labels, owners = label_regions(seen.mask)
        found = _polygons(seen.mask, self._tolerance) if polygon else _masks(labels, owners)
        threshold = context.conf_threshold or 0.0
        return [
            make(owner, points, score=score)
            for (owner, points), score in zip(found, _scores(labels, seen), strict=True)
            if score >= threshold
        ]


def _polygons(mask: Mask, tolerance: float) -> Iterator[tuple[int, list[float]]]:
    """The class and the corners x, y, x, y ... of each region."""
    for region in regions(mask):
        ring = one_ring(simplified(region.rings, tolerance))
        yield region.id, ring.astype(float).ravel().tolist()


def _masks(labels: NDArray[np.int32], owners: list[int]) -> Iterator[tuple[int, list[float]]]:
    """The class of each region, and its pixels in CVAT's code: run-lengths, then its box."""
    from cvat_sdk.masks import encode_mask

    boxes: Any = ndimage.find_objects(labels)
    for number, (owner, (rows, columns)) in enumerate(zip(owners, boxes, strict=True), 1):
        *lengths, left, top, right, bottom = encode_mask(labels[rows, columns] == number)
        x, y = columns.start, rows.start
        points = [*lengths, left + x, top + y, right + x, bottom + y]
        yield owner, [float(value) for value in points]


def _scores(labels: NDArray[np.int32], seen: Prediction) -> list[float]:
    """The mean confidence of each region, 0..1."""
    assert seen.confidence is not None
    sums = np.bincount(labels.ravel(), seen.confidence.ravel() / CERTAIN)
    means: list[float] = (sums[1:] / np.bincount(labels.ravel())[1:]).tolist()
    return means
