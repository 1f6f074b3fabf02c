"""A picie model that FiftyOne applies to its datasets."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from picie.errors import MissingExtraError
from picie.inference.segmenter import Segmenter, loaded

__all__ = ["PicieModel"]


class PicieModel:
    """A `fiftyone.core.models.Model` that gives each image a `fiftyone.Segmentation`.

    FiftyOne treats 0 as background and hides it, so id i has value i + 1, and 0 = ignored, as in
    `picie export --format fiftyone`. FiftyOne reads the images: 8 bits, RGB, upright.

    Args:
        run: a trained model, or its folder.

    Raises:
        MissingExtraError: fiftyone is not installed.
        PicieError: the folder has no model that can be used.

    Example:
        >>> model = PicieModel("runs/first")  # doctest: +SKIP
        >>> dataset.apply_model(model, label_field="picie")  # doctest: +SKIP
        >>> model.describe(dataset, "picie")  # doctest: +SKIP
    """

    media_type = "image"
    ragged_batches = False  # images of a batch may differ in size
    transforms = None  # it takes images as they are
    preprocess = False
    config = None

    def __new__(cls, run: Segmenter | str | Path) -> "PicieModel":
        """An instance that FiftyOne takes for its own: a subclass of its class, loaded now."""
        return object.__new__(_for_fiftyone())

    def __init__(self, run: Segmenter | str | Path) -> None:
        self._model = loaded(run)
        self._kind = np.uint8 if self._model.clusters <= 255 else np.uint16

    def predict(self, image: NDArray[np.uint8]) -> Any:
        """The mask of one image as a `fiftyone.Segmentation`.

        Args:
            image: (H, W, 3) uint8 RGB.
        """
        import fiftyone

        mask = self._model.predict(image)
        return fiftyone.Segmentation(mask=(mask.astype(np.int32) + 1).astype(self._kind))

    @property
    def mask_targets(self) -> dict[int, str]:
        """The name of the class of each value."""
        return dict(enumerate(self._model.names, 1))

    def describe(self, dataset: Any, label_field: str) -> None:
        """Give the values of a field their names and colours in the app, and save the dataset.

        Args:
            dataset: a `fiftyone.Dataset`.
            label_field: with the masks of this model.
        """
        import fiftyone

        dataset.mask_targets = {**dataset.mask_targets, label_field: self.mask_targets}
        colours = [
            {"intTarget": value, "color": f"#{bytes(row).hex()}"}
            for value, row in enumerate(self._model.colours.tolist(), 1)
        ]
        scheme = dataset.app_config.color_scheme or fiftyone.ColorScheme(color_by="value")
        others = [field for field in scheme.fields or [] if field["path"] != label_field]
        scheme.fields = [*others, {"path": label_field, "maskTargetsColors": colours}]
        dataset.app_config.color_scheme = scheme
        dataset.save()


@cache
def _for_fiftyone() -> type[PicieModel]:
    """`PicieModel` as a subclass of FiftyOne's class of models, which is imported only here."""
    try:
        from fiftyone.core.models import Model
    except ImportError:
        raise MissingExtraError(
            'a picie model in FiftyOne needs fiftyone: pip install "picie[fiftyone]"'
        ) from None

    class FiftyOneModel(PicieModel, Model):  # type: ignore[misc]
        pass

    return FiftyOneModel
