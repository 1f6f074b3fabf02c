"""Scores of a model on labelled pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from picie.centroids import Loader, fit_clean_centroids, keep_centroids
from picie.config import Config
from picie.data.cache import CropCache
from picie.data.folder import Photo, PhotoFolder
from picie.data.images import read_image, square_crop, square_crop_mask
from picie.data.loading import BaseCrops, load_batches
from picie.data.named import open_dataset
from picie.errors import ConfigError, DataError
from picie.inference import Segmenter, enlarge, load
from picie.metrics import Confusion, Scores, score
from picie.pictures import check_size
from picie.processes import Processes
from picie.progress import Reporter

__all__ = ["Evaluation", "evaluate", "picture_loader"]

Matching = Literal["hungarian", "majority"]
Crop = Literal["center", "none"]
_BATCH = 16


@dataclass(frozen=True)
class Evaluation:
    """Scores of the model's own centroids, and of fresh ones where they were asked for.

    Attributes:
        scores: with the centroids that the model carries, of view 1 where it keeps two.
        other_views: with those of the other views.
        fresh: one per repetition of k-means on clean training pictures.
    """

    scores: Scores
    other_views: tuple[Scores, ...] = ()
    fresh: tuple[Scores, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The keys of `Scores.to_json`, and `other_views` and `fresh` where there are any."""
        values = self.scores.to_json()
        if self.other_views:
            values["other_views"] = [scores.to_json() for scores in self.other_views]
        if self.fresh:
            values["fresh"] = {
                **{name: self.spread(name) for name in ("accuracy", "miou")},
                "runs": [scores.to_json() for scores in self.fresh],
            }
        return values

    def spread(self, name: Literal["accuracy", "miou"]) -> dict[str, float]:
        """Mean and sample standard deviation of the fresh scores; sd 0 for a single one."""
        values = np.array([getattr(scores, name) for scores in self.fresh])
        sd = float(values.std(ddof=1)) if len(values) > 1 else 0.0
        return {"mean": float(values.mean()), "sd": sd}


def evaluate(
    model: Segmenter | str | Path,
    data: str | Path,
    *,
    split: str = "",
    dataset: str = "",
    size: int | None = None,
    crop: Crop = "center",
    match: Matching = "hungarian",
    fresh_clusters: int = 0,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score masks against labels: dataset mIoU and pixel accuracy after one global matching.

    Args:
        model: a trained model, or its folder.
        data: labelled folder: `images/`, `masks/<same stem>.png` (255 = void), `classes.txt`.
        split: list file inside it, by stem; of a known data set one of its splits, or several
            joined by "+".
        dataset: name of a known data set, such as `cocostuff27`, whose own tree and label map are
            used; "" = any labelled folder.
        size: short side in pixels at which the network sees a picture; as in training if None.
        crop: `center` scores the square centre crop at that size (PiCIE's protocol); `none` scores
            whole pictures at their own size.
        match: `hungarian` one-to-one, or `majority` many-to-one, never to be mixed in a table.
        fresh_clusters: also fit this many new sets of centroids to clean training pictures.
        reporter: shows how far it came; nothing is shown without one.

    Raises:
        DataError: no labels, wrong masks, or no readable picture.
        ConfigError: a size that is no multiple of 32, an unknown crop, matching, data set or split.
    """
    model = model if isinstance(model, Segmenter) else load(model)
    side = model.config.size if size is None else size
    check_size(side)
    if crop not in get_args(Crop):
        raise ConfigError(f"unknown crop {crop!r}; known: {', '.join(get_args(Crop))}")
    folder = open_dataset(dataset, data, split, labelled=True)
    protocol = {
        "data": str(data),
        "dataset": dataset or "folder",
        "split": split or "all",
        "images": len(folder),
        "size": side,
        "crop": crop,
        "clusters": model.clusters,
        "post_processing": "none",
    }
    segmenter, problems = _resized(model, side), dict[Path, str]()
    reporter = reporter or Reporter(quiet=True)
    measure = partial(
        _measure,
        folder=folder,
        side=side,
        crop=crop,
        match=match,
        problems=problems,
        reporter=reporter,
    )
    views = [
        measure(segmenter, view=view, protocol=_named(protocol, model, view))
        for view in range(len(model.network.centroids))
    ]
    if not views:
        model.network.view_centroids(0)  # raises: nothing was learnt
    reporter.enumerate(problems.values())
    fresh = [
        measure(
            _resized(other, side),
            view=0,
            protocol=protocol | {"centroids": f"fresh k-means on clean pictures, repeat {number}"},
        )
        for number, other in enumerate(_fresh(model, fresh_clusters), 1)
    ]
    return Evaluation(views[0], tuple(views[1:]), tuple(fresh))


def picture_loader(
    crops: BaseCrops, config: Config, device: torch.device, processes: Processes | None = None
) -> Loader:
    """A function (positions, batch size) to this process' share of batches, on the device."""
    sharing = processes or Processes()

    def loader(order: list[int], batch_size: int) -> Any:
        starts = range(0, len(order), batch_size)
        return load_batches(
            crops,
            [sharing.share(order[start : start + batch_size]) for start in starts],
            workers=config.workers,
            device=device,
            keep_empty=sharing.count > 1,
        )

    return loader


def _named(protocol: dict[str, Any], model: Segmenter, view: int) -> dict[str, Any]:
    clean = len(model.network.centroids) == 1
    named = "clean pictures" if clean else f"view {view + 1} of the last epoch"
    return protocol | {"centroids": f"trained model, {named}"}


def _resized(model: Segmenter, size: int) -> Segmenter:
    return Segmenter(model.network, model.config.model_copy(update={"size": size}))


def _fresh(model: Segmenter, count: int) -> Iterator[Segmenter]:
    """Copies of the model with centroids from its own training pictures."""
    if not count:
        return
    config = model.config
    if not config.data:
        raise DataError(
            "the model does not say which pictures it was trained on; no fresh clusters"
        )
    photos = open_dataset(config.dataset, config.data, config.split).photos
    cache = CropCache(len(photos), config.base_size, memory_mb=config.cache_mb)
    crops = BaseCrops(photos, config.base_size, cache)
    loader = picture_loader(crops, config, model.device)
    state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    for number in range(1, count + 1):
        try:
            fit = fit_clean_centroids(model.network, loader, len(photos), config, repeat=number)
            keep_centroids(model.network, fit)
            yield Segmenter(model.network, config)
        finally:  # batch statistics may have moved too
            model.network.restore(state)
            model.network.eval()


def _measure(
    model: Segmenter,
    *,
    folder: PhotoFolder,
    side: int,
    crop: Crop,
    match: Matching,
    view: int,
    problems: dict[Path, str],
    reporter: Reporter,
    protocol: dict[str, Any],
) -> Scores:
    confusion = Confusion(len(folder.classes), model.clusters)
    step = _BATCH if crop == "center" else 1
    with reporter.task("scoring", len(folder)) as advance:
        for start in range(0, len(folder), step):
            photos = folder.photos[start : start + step]
            pairs = _read_pairs(photos, side, crop, folder, problems)
            if pairs:
                _compare(model, pairs, confusion, crop, view)
            advance(len(photos))
    if len(problems) == len(folder):
        first = next(iter(problems.values()))
        raise DataError(
            f"{folder.root}: none of the {len(folder)} pictures could be read; first: {first}"
        )
    return score(
        confusion.matrix,
        folder.classes,
        match=match,
        protocol=protocol | {"unreadable": len(problems)},
    )


_Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def _read_pairs(
    photos: Sequence[Photo],
    side: int,
    crop: Crop,
    folder: PhotoFolder,
    problems: dict[Path, str],
) -> list[_Pair]:
    pairs = []
    for photo in photos:
        try:
            image = read_image(photo.path)
        except DataError as error:
            problems[photo.path] = str(error)
            continue
        truth = folder.truth(photo, image_size=(image.shape[1], image.shape[0]))
        if crop == "center":
            image, truth = square_crop(image, side), square_crop_mask(truth, side)
        pairs.append((image, truth))
    return pairs


def _compare(
    model: Segmenter, pairs: Sequence[_Pair], confusion: Confusion, crop: Crop, view: int
) -> None:
    if crop == "none":
        for image, truth in pairs:
            confusion.update(truth, model.predict(Image.fromarray(image), view=view))
        return
    images = torch.from_numpy(np.stack([image for image, _ in pairs])).permute(0, 3, 1, 2)
    logits = model.logits(images.float() / 255, view=view)
    for (_, truth), one in zip(pairs, logits, strict=True):
        confusion.update(truth, enlarge(one, truth.shape))
