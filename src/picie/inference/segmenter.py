"""From images in any form to masks at their own size."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol, Self, get_args, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageShow
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import group_scores, scores
from picie.clustering.tree import cut_network
from picie.config import Config, check_cells, check_setting, make_config
from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import DEFAULT, as_array, check_size, network_input, read_image
from picie.data.photo_loader import LoadedPhoto, in_batches, read_ahead
from picie.data.prefetch import photo_workers
from picie.errors import ConfigError, DataError, PicieError
from picie.inference.confidence import Confidence, confidence_map, mean_confidence, sharpness
from picie.inference.display import (
    model_html,
    model_line,
    photo_html,
    photo_line,
    photo_overlay,
)
from picie.inference.hub import (
    FILES,
    check_replaceable,
    local_folder,
    spread,
    upload_folder,
    write_pretrained,
)
from picie.inference.outputs import cluster_colours, cluster_name, outputs_of
from picie.metrics.health import Health
from picie.models.class_names import IGNORED, ClassNames, read_classes, write_classes
from picie.models.folding import FoldedCopy
from picie.models.picie import PiCIE
from picie.models.storage import load_model, save_model
from picie.postprocessing.refinement import average_scales, refine_boundaries
from picie.postprocessing.tiling import blended, check_tile
from picie.postprocessing.upsampling import Mask, upsample
from picie.runs import CLASSES_FILE, Run
from picie.runtime.devices import (
    autocast,
    choose_device,
    for_each,
    network_precision,
    to_device,
)
from picie.runtime.notebook import in_notebook, show
from picie.runtime.printable import shown
from picie.types import LabelsUsed
from picie.visualization.palette import Colours

__all__ = [
    "MOST_IN_BATCH",
    "TAUGHT",
    "TILE",
    "Mask",
    "Pixels",
    "Precision",
    "Prediction",
    "Segmenter",
    "Teacher",
    "load",
    "loaded",
    "predict",
]

_LOG = logging.getLogger("picie")

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Pixels = Image.Image | NDArray[np.uint8] | Tensor
"""One image in memory, or a tensor (B, 3, H, W) of several."""

MOST_IN_BATCH = 65_536
"""Most photos in a batch."""

TILE = 1024
"""Default of the longest side that the network processes at once, in pixels."""

TAUGHT = {"similarity": "dot", "unit_features": True}
"""Settings of a taught model: how its rows are compared with features."""


@dataclass(frozen=True)
class Prediction:
    """One image of a folder.

    Attributes:
        name: its path inside the folder, without the extension.
        path: the file; of a storage, its address.
        image: (H, W, 3) uint8 RGB; empty if it could not be read.
        mask: (H, W) ids 0..N-1, or IGNORED (-1), of 16 bits, or 32 for more than 32,767 ids; None
            if it could not be read.
        problem: why it could not be read; "" otherwise.
        confidence: (H, W) uint8, the probability that the class of each pixel is right, in 255ths;
            None unless it was asked for.
        mean_confidence: its mean over the grid of the network, 0..1, without what is ignored.
        seconds: that reading and its share of the network took.
        loaded: the photo as it was read.
        names: of the ids, by id.
        colours: (N, 3) uint8 sRGB by id; None = those of the palette.
    """

    name: str
    path: Path | str
    image: NDArray[np.uint8]
    mask: Mask | None
    problem: str = ""
    confidence: Confidence | None = None
    mean_confidence: float = 0.0
    seconds: float = 0.0
    loaded: LoadedPhoto | None = None
    names: tuple[str, ...] = ()
    colours: Colours | None = None

    def overlay(self) -> Image.Image:
        """The mask over the photo, with names in large regions and a legend below.

        Raises:
            DataError: the photo could not be read.
        """
        if self.mask is None:
            raise DataError(f"{self.name}: has no mask to show ({self.problem})")
        return photo_overlay(self.image, self.mask, self.names, self.colours)

    def show(self) -> None:
        """Show photo, overlay and classes in a notebook; elsewhere the overlay in a viewer.

        Raises:
            DataError: the photo could not be read, and there is no notebook to say so.
            PicieError: no program here shows images.
        """
        if in_notebook():
            show(self)
        elif not ImageShow.show(self.overlay(), self.name):
            raise PicieError(
                "no program on this machine shows images; write a file: "
                'prediction.overlay().save("overlay.png")'
            )

    def __repr__(self) -> str:
        return photo_line(self.name, self.problem, self.mask, self.names)

    def _repr_html_(self) -> str:
        shown = self.name, self.image, self.mask, self.names, self.colours, self.problem
        return photo_html(*shown)


class Teacher(Protocol):
    """What a model can learn from."""

    def teach(self, model: "Segmenter") -> tuple[PiCIE, ClassNames | None]:
        """Network and names of the taught model."""


class Segmenter:
    """A trained model that turns images into cluster masks.

    Predictions follow later changes of the network. Names do not change it: `network` always has
    the trained clusters.

    Args:
        network: features and centroids.
        config: the settings of its training.
        precision: of the network: fp32, bf16 or fp16; auto is bf16 on CUDA devices that support it,
            else fp32. Logits are always float32.
        class_names: names of its clusters; None = ids are cluster numbers.

    Attributes:
        run: folder that it was loaded from; None if there is none, or after another cut.

    Raises:
        ConfigError: an unknown device or precision, or names that do not fit the model.
        NotFittedError: names for a model without centroids.

    Example:
        >>> model = picie.load("runs/first")  # doctest: +SKIP
        >>> model.predict("photo.jpg").shape  # doctest: +SKIP
        (480, 640)
    """

    run: Path | None = None

    def __init__(
        self,
        network: PiCIE,
        config: Config,
        *,
        precision: Precision = "fp32",
        class_names: ClassNames | None = None,
    ) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        if precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ConfigError(f"unknown precision {precision!r}; known: {known}")
        self._precision = precision
        self._folded = FoldedCopy(self.network)
        self.class_names = class_names
        self._outputs = None
        if class_names is not None:
            self._outputs = outputs_of(self.network.centroid_set(), class_names)
        try:
            check_cells(config.size, self.clusters)
        except ValueError as error:
            raise ConfigError(str(error)) from None

    def __repr__(self) -> str:
        return model_line(self)

    def _repr_html_(self) -> str:
        return model_html(self)

    @overload
    def predict(
        self, source: Pixels, *, view: int = 0, size: int | None = None, tile: int = TILE
    ) -> Mask: ...

    @overload
    def predict(
        self, source: PhotoFolder, *, view: int = 0, size: int | None = None, tile: int = TILE
    ) -> Iterator[Prediction]: ...

    @overload
    def predict(
        self, source: str | Path, *, view: int = 0, size: int | None = None, tile: int = TILE
    ) -> Any: ...

    def predict(
        self,
        source: Pixels | PhotoFolder | str | Path,
        *,
        view: int = 0,
        size: int | None = None,
        tile: int = TILE,
    ) -> Any:
        """Predict the ids of one image or of a folder: of named classes, else of clusters.

        Args:
            source: a path to an image or to a folder of them; a PIL image; an array (H, W, 3)
                uint8 RGB or (H, W) grey; a tensor (3, H, W) or (B, 3, H, W), float in [0, 1] or
                uint8, RGB.
            view: which set of centroids, from 0 (a model of the reference preset keeps two; names
                are those of the first).
            size: short side in pixels at which the network sees an image, a multiple of 32; as in
                training if None.
            tile: longest side that the network processes at once, in pixels, a multiple of 32 from
                128; larger images are cut into overlapping tiles whose logits are blended. 0 =
                never.

        Returns:
            (H, W) at the image's own size, 0..N-1 or IGNORED (-1), int16 (int32 for more than
            32,767 ids: calculate in a wider type); (B, H, W) for a batch;
            for a folder an iterator of `Prediction`, so that memory does not grow with the folder.
            A type checker cannot know whether a path is a folder: use `predict_folder` if types
            matter.

        Raises:
            DataError: a path or a value that is not an image.
            ConfigError: an impossible size or tile, or a view other than that of the names.
        """
        if isinstance(source, PhotoFolder):
            return self.predict_folder(source, view=view, size=size, tile=tile)
        if isinstance(source, str | Path):
            path = Path(source)
            if path.is_dir():
                return self.predict_folder(path, view=view, size=size, tile=tile)
            opened = open_folder(path, reading=self.config.reading)
            source = read_image(path, opened.reading)
        size = self._checked(size, tile, view)
        if isinstance(source, Tensor) and source.ndim == 4 and len(source):
            return np.stack([self._predict_image(image, view, size, tile) for image in source])
        return self._predict_image(source, view, size, tile)

    def predict_folder(
        self,
        source: str | Path | PhotoFolder,
        *,
        split: str = "",
        view: int = 0,
        batch_size: int = 8,
        size: int | None = None,
        tile: int = TILE,
        workers: int = -1,
        confidence: bool = False,
    ) -> Iterator[Prediction]:
        """Predict the masks of all images of a folder, sorted by name.

        Unreadable images have a `problem` instead of a mask. Masks do not depend on `workers`, and
        on `batch_size` only through floating-point rounding.

        Args:
            source: a folder, an image, or an opened folder.
            split: list file of the folder; ignored for an opened folder.
            view: which set of centroids, from 0.
            batch_size: maximum number of images in a batch. A batch holds images of one size, which
                need not be neighbours in the folder.
            size: as in `predict`.
            tile: as in `predict`.
            workers: threads that read images while the network computes; 0 = none, -1 = chosen
                from the cores.
            confidence: also give the confidence of each pixel.

        Raises:
            DataError: no such folder, split or images.
            ConfigError: an impossible size, tile, batch size or number of workers.
        """
        size = self._checked(size, tile, view)
        if not 1 <= batch_size <= MOST_IN_BATCH:
            raise ConfigError(f"batch_size {batch_size}: give 1 to {MOST_IN_BATCH}")
        try:
            check_setting("workers", workers)
        except ConfigError as error:
            raise ConfigError(f"workers {shown(workers)}: {error}") from None
        reading = self.config.reading
        if not isinstance(source, PhotoFolder):
            folder = open_folder(source, split, reading=reading)
        else:  # one that was only listed is not settled
            folder = source.read_as(reading) if source.reading is DEFAULT else source
        workers = photo_workers(workers, self.device)
        images = read_ahead(
            folder.photos,
            size,
            ahead=batch_size + workers,
            workers=workers,
            reading=folder.reading,
        )
        return self._predictions(images, batch_size, view, tile, confidence=confidence)

    @torch.no_grad()
    def predict_image(
        self, source: Pixels, *, size: int | None = None, tile: int = TILE
    ) -> Prediction:
        """The mask of one image in memory, with the confidence of each pixel.

        Args:
            source: as in `predict`, but one image.
            size: as in `predict`.
            tile: as in `predict`.

        Returns:
            a prediction without name and path.

        Raises:
            DataError: a value that is not an image.
            ConfigError: an impossible size or tile.
        """
        image, logits = self._seen(source, 0, self._checked(size, tile, 0), tile)
        shape = image.shape[:2]
        return Prediction(
            "", Path(), image, self._mask(logits, shape),
            confidence=self.confidence(logits, shape),
            mean_confidence=mean_confidence(logits, self.sharpness, self.clusters),
            names=self.names,
            colours=self.colours,
        )  # fmt: skip

    @property
    def precision(self) -> Precision:
        """Precision of the network, as it was asked for."""
        return self._precision

    @property
    def clusters(self) -> int:
        """N, the number of ids in masks: named classes, then unnamed clusters."""
        return self.network.clusters if self._outputs is None else len(self._outputs.names)

    @property
    def names(self) -> tuple[str, ...]:
        """N names by id; "cluster 5" for a cluster without a name."""
        if self._outputs is None:
            return tuple(cluster_name(number) for number in range(self.clusters))
        return self._outputs.names

    @property
    def colours(self) -> Colours:
        """(N, 3) uint8 sRGB by id."""
        if self._outputs is None:
            return cluster_colours(self.network.centroid_set())
        return self._outputs.colours

    @property
    def centroid_ids(self) -> Tensor:
        """(P,) int64, the id of each centroid of the first view; N = ignored."""
        if self._outputs is None:
            return self.network.view_centroids(0)[1].cpu()
        return torch.from_numpy(self._outputs.ids)

    def named(self, class_names: ClassNames | None) -> Self:
        """The same model with names for its clusters; weights are shared.

        Masks, `names` and `colours` then have one id for each class, in the order of the entries,
        followed by one for each unnamed cluster. Names belong to the first view.

        Args:
            class_names: the names; None removes them.

        Raises:
            ConfigError: names that do not fit the model.
            NotFittedError: nothing was learnt.
        """
        return self._changed(self.network, self.config, class_names)

    def cut(self, clusters: int) -> Self:
        """The same model with another number of clusters and without names, without training.

        Weights are shared.

        Args:
            clusters: K, from 2 to the number of centroids; ids are renumbered.

        Raises:
            ConfigError: an impossible number, or a model whose clusters come from a classifier.
            NotFittedError: nothing was learnt.
        """
        network = cut_network(self.network, clusters)
        config = self.config.model_copy(update={"clusters": clusters})
        return self._changed(network, config, None)

    def taught(self, annotations: Teacher) -> Self:
        """A model that has learnt from names, strokes and masks; this one stays as it is.

        Args:
            annotations: from `picie.annotated`.

        Raises:
            ConfigError: the model was taught already.
            DataError: nothing to learn from, or images that cannot be read.
        """
        network, class_names = annotations.teach(self)
        config = make_config(**self.config.model_dump() | TAUGHT)
        return self._changed(network, config, class_names)

    @property
    def labels(self) -> LabelsUsed | None:
        """What it has learnt from a person; None = it has learnt without labels."""
        return self.network.labels

    @property
    def health(self) -> Health:
        """Measures of its training run that need no labels; empty if there are none."""
        return Health({} if self.run is None else Run(self.run, self.config, "").health())

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pixel features, not normalised.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            (B, D, h, w) float32 with h = H / stride, rounded up.
        """
        return self._features(images, self._lean())

    def _lean(self) -> PiCIE:
        """The copy for inference. Making sure that it is up to date takes milliseconds."""
        self.network.eval()
        return self._folded()

    def _features(self, images: Tensor, lean: PiCIE) -> Tensor:
        """`features` of the folded copy."""
        with autocast(self.device, self._precision):
            features: Tensor = lean(images.to(self.device))
        return features.float()

    @torch.no_grad()
    def classify(self, features: Tensor, *, view: int = 0) -> Tensor:
        """Similarity of each feature to each id: the maximum over the centroids of the id.

        Args:
            features: (B, D, h, w) as `features` gives them.
            view: which set of centroids, from 0.

        Returns:
            (B, N, h, w) float32; larger = more similar. If a class is ignored, its score is an
            extra last channel.
        """
        self.check_view(view)
        return self._grouped(self.centroid_scores(features, view=view), view)

    @torch.no_grad()
    def centroid_scores(self, features: Tensor, *, view: int = 0) -> Tensor:
        """Similarity of each feature to each centroid; names do not matter.

        Args:
            features: (B, D, h, w) as `features` gives them.
            view: which set of centroids, from 0.

        Returns:
            (B, P, h, w) float32; larger = more similar.
        """
        centroids, _, offsets = self.network.view_centroids(view)
        rule = self.config.predict_rule
        if rule != "cosine" and self.config.unit_features:  # cosine normalises by itself
            features = F.normalize(features, dim=1)
        return scores(features, centroids, rule) + offsets[:, None, None]

    def check_view(self, view: int) -> None:
        """Refuse a view whose centroids cannot make masks.

        Raises:
            ConfigError: the model has names, which belong to view 0, and `view` is another.
            NotFittedError: the model has no centroids, or fewer views.
        """
        if view and self._outputs is not None:
            raise ConfigError(
                f"view {view}: the names belong to view 0; remove them with named(None), or use "
                "load(folder, named=False)"
            )
        self.network.view_centroids(view)

    @torch.no_grad()
    def logits(self, images: Tensor, *, view: int = 0) -> Tensor:
        """Logits before upsampling: `classify` of the `features`, then post-processing.

        Args:
            images: (B, 3, H, W) float in [0, 1], sides multiples of 32.
            view: which set of centroids, from 0.

        Returns:
            (B, N, h, w) float32 on the grid of the features, or (B, N, H / 2, W / 2) if the config
            averages scales or refines boundaries. N + 1 channels if a class is ignored, as in
            `classify`.
        """
        self.check_view(view)  # fail before the network runs
        return self._logits(images, view, self._lean())

    @torch.no_grad()
    def _logits(self, images: Tensor, view: int, lean: PiCIE) -> Tensor:
        """`logits` of the folded copy."""
        scales, iterations = self.config.predict_scales, self.config.refine

        def plain(images: Tensor) -> Tensor:
            return self.classify(self._features(images, lean), view=view)

        if scales == (1.0,) and not iterations:
            return plain(images)
        averaged = average_scales(plain, images, scales)
        return refine_boundaries(averaged, images.to(averaged.device), iterations)

    def confidence(self, logits: Tensor, size: tuple[int, ...]) -> Confidence:
        """Confidence of the pixels of a mask.

        Args:
            logits: (N, h, w) of one image, as `logits` and `classify` give them.
            size: (H, W) of the mask.

        Returns:
            (H, W) uint8, the probability that the class of a pixel is right, in 255ths.
        """
        return confidence_map(logits, size, self.sharpness)

    @property
    def sharpness(self) -> float:
        """The factor of logits before a softmax gives the probabilities of ids."""
        ids = len(self.centroid_ids.unique())
        learnt = bool(self.network.offsets.any())
        return sharpness(self.config.predict_rule, ids, learnt=learnt)

    def post_processed(
        self, *, scales: Sequence[float] | None = None, refine: int | None = None
    ) -> Self:
        """The same model with other post-processing; weights are shared and names kept.

        Args:
            scales: factors of the input size, 0.25..4; None = unchanged.
            refine: iterations of boundary refinement, 0 = none; None = unchanged.

        Raises:
            ConfigError: impossible values.
        """
        changed = {"predict_scales": scales and tuple(scales), "refine": refine}
        values = {name: value for name, value in changed.items() if value is not None}
        config = make_config(**self.config.model_dump() | values)
        return self._changed(self.network, config, self.class_names)

    def read_as(
        self,
        *,
        stretch: tuple[float, float] | None = None,
        bands: Sequence[int] | None = None,
        pages: Literal["first", "all"] | None = None,
        max_pixels: int | None = None,
    ) -> Self:
        """The same model with another way to read images; weights are shared and names kept.

        None leaves a value unchanged.

        Args:
            stretch: values that become black and white in images of another type than 8 bits.
            bands: three bands, from 1, for red, green and blue, or one for grey; () = the first.
            pages: of files with several pages, the first or all.
            max_pixels: most pixels of an image.

        Raises:
            ConfigError: impossible values.
        """
        changed = {"stretch": stretch, "bands": bands, "pages": pages, "max_pixels": max_pixels}
        given = {name: value for name, value in changed.items() if value is not None}
        if not given:
            return self
        reading = dataclasses.asdict(self.config.reading) | given
        config = make_config(**self.config.model_dump() | {"reading": reading})
        return self._changed(self.network, config, self.class_names)

    def at_size(self, size: int) -> Self:
        """The same model for images with another short side; weights are shared.

        Args:
            size: short side in pixels, a multiple of 32.

        Raises:
            ConfigError: an impossible size.
        """
        check_size(size)
        config = self.config.model_copy(update={"size": size})
        return self._changed(self.network, config, self.class_names)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json`, and `classes.toml` if there are names.

        Raises:
            ConfigError: the folder holds a trained run or the model that was loaded, or files of
                these names that picie did not write.
            PicieError: a file cannot be written.
        """
        names = FILES if self.class_names is not None else FILES[:2]
        check_replaceable(Path(folder), names, self.run)
        save_model(self.network, self.config, Path(folder))
        if self.class_names is not None:
            write_classes(Path(folder) / CLASSES_FILE, self.class_names)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        photos: str | Path | None = None,
        license: str = "",
        scores: Mapping[str, Any] | str | Path | None = None,
        source: str = "",
    ) -> None:
        """Write a folder to share: model, names, a card (README.md) and a sheet of images.

        It contains no path of this machine. `load` reads it.

        Args:
            folder: a new one, or one written by this method, whose files are replaced.
            photos: a folder; sheet.png shows six of its photos with their masks.
            license: an identifier of the hub such as `apache-2.0`; "" = none is named.
            scores: as written by `picie evaluate --json`, or such a file; scores.json of the run
                if None, where it exists.
            source: hf://user/name, which the card's code example loads; "" = a folder.

        Raises:
            ConfigError: a folder with other files, or a license that is not an identifier.
            DataError: no photos, or unreadable scores.
            PicieError: a file cannot be written.
        """
        shown = (
            None
            if photos is None
            else self.predict_folder(spread(open_folder(photos, reading=self.config.reading)))
        )
        write_pretrained(
            self, Path(folder), run=self.run, shown=shown, scores=scores, license=license,
            source=source,
        )  # fmt: skip

    def push_to_hub(
        self,
        name: str,
        *,
        private: bool = True,
        token: str | None = None,
        photos: str | Path | None = None,
        license: str = "",
        scores: Mapping[str, Any] | str | Path | None = None,
    ) -> str:
        """Publish what `save_pretrained` writes as the repository user/name; return its address.

        Args:
            name: user/name; created if missing, else its model is replaced.
            private: whether a newly created repository is private.
            token: of the hub; the token stored on this machine if None.
            photos: as in `save_pretrained`; so are the next two.
            license: an identifier of the hub.
            scores: accuracy and mIoU for the card.

        Raises:
            MissingExtraError: huggingface_hub is not installed.
            ModelError: the hub refuses or is unreachable.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, photos=photos, license=license, scores=scores, source=name)
            return upload_folder(Path(folder), name, private=private, token=token)

    def _grouped(self, values: Tensor, view: int) -> Tensor:
        """(B, N or N + 1, h, w) score of each id from the (B, P, h, w) scores of the centroids."""
        if self._outputs is not None:
            return self._outputs.scores(values)
        return group_scores(values, self.network.view_centroids(view)[1])

    def _changed(self, network: PiCIE, config: Config, class_names: ClassNames | None) -> Self:
        other = type(self)(network, config, precision=self._precision, class_names=class_names)
        other.run = self.run if network is self.network else None
        return other

    def _checked(self, size: int | None, tile: int, view: int) -> int:
        self.check_view(view)
        check_tile(tile)
        size = self.config.size if size is None else size
        check_size(size)
        return size

    def _predictions(
        self,
        images: Iterator[LoadedPhoto],
        batch_size: int,
        view: int,
        tile: int,
        *,
        confidence: bool,
    ) -> Iterator[Prediction]:
        legend = self.names, self.colours  # colours take a while to choose

        def predicted(batch: Sequence[LoadedPhoto]) -> list[Prediction]:
            start, lean, parts = time.perf_counter(), self._lean(), self._parts(batch, tile)
            made: dict[int, Prediction] = {}

            def work(part: int) -> None:
                own = range(part, len(batch), parts)
                pixels = torch.stack([_pixels(batch[number]) for number in own])
                maps = self._maps(pixels, view, tile, lean)
                for number, logits in zip(own, maps, strict=True):
                    one = self._prediction(logits, batch[number], confidence=confidence)
                    made[number] = replace(one, names=legend[0], colours=legend[1])

            for_each(work, parts, self.device)
            share = (time.perf_counter() - start) / len(batch)
            return [
                replace(made[number], seconds=made[number].seconds + share)
                for number in range(len(batch))
            ]

        for image, made in in_batches(images, batch_size, predicted):
            yield made or Prediction(
                image.photo.name, image.photo.source, image.image, None, image.problem, loaded=image
            )

    def _parts(self, batch: Sequence[LoadedPhoto], tile: int) -> int:
        """The number of parts of a batch that are computed on their own.

        On a CPU each image is a part: threads that compute different images do not wait for each
        other, as those do that share each operation. Too few images, and large ones, whose tiles
        take much memory, are computed one after another by all threads.
        """
        large = tile and max(_pixels(batch[0]).shape) > tile
        alone = self.device.type == "cpu" and len(batch) >= torch.get_num_threads() and not large
        return len(batch) if alone else 1

    def _prediction(self, logits: Tensor, image: LoadedPhoto, *, confidence: bool) -> Prediction:
        size = image.image.shape[:2]
        return Prediction(
            image.photo.name,
            image.photo.source,
            image.image,
            self._mask(logits, size),
            confidence=self.confidence(logits, size) if confidence else None,
            mean_confidence=mean_confidence(logits, self.sharpness, self.clusters),
            seconds=image.seconds,
            loaded=image,
        )

    def _predict_image(self, source: Any, view: int, size: int, tile: int) -> Mask:
        image, logits = self._seen(source, view, size, tile)
        return self._mask(logits, image.shape[:2])

    def _seen(
        self, source: Any, view: int, size: int, tile: int
    ) -> tuple[NDArray[np.uint8], Tensor]:
        """(H, W, 3) pixels of one image, and its logits (N, h, w)."""
        image = as_array(source, self.config.reading)
        pixels = network_input(image, size)[None]
        return image, next(self._maps(pixels, view, tile, self._lean()))

    def _maps(self, pixels: Tensor, view: int, tile: int, lean: PiCIE) -> Iterator[Tensor]:
        """Logits (N, h, w) of each image, from (B, 3, h, w) uint8."""

        def logits(part: Tensor) -> Tensor:
            return self._logits(self._fractions(part), view, lean)

        if tile and max(pixels.shape[2:]) > tile:
            return (blended(logits, image, tile) for image in pixels)
        return iter(logits(pixels))

    def _mask(self, logits: Tensor, size: tuple[int, ...]) -> Mask:
        mask = upsample(logits, size)
        if len(logits) > self.clusters:
            mask[mask >= self.clusters] = IGNORED
        return mask

    def _fractions(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) float in [0, 1] on the device, from uint8."""
        return to_device(pixels, self.device).float().div_(255)


def _pixels(image: LoadedPhoto) -> Tensor:
    assert image.pixels is not None  # batches hold readable images
    return image.pixels


def load(
    folder: str | Path, *, device: str = "", precision: Precision = "auto", named: bool = True
) -> Segmenter:
    """Read a trained model, and the names of its clusters if the folder has a `classes.toml`.

    Args:
        folder: the `--out` folder of a training run, or one written by `Segmenter.save`; or
            "hf://user/name" (optionally with "@revision"), a model on the Hugging Face Hub.
        device: auto, cpu, cuda or mps; as in training if empty.
        precision: of the network, as in `Segmenter`.
        named: apply the names; otherwise ids are cluster numbers.

    Raises:
        ModelError: no such folder (a near one is proposed), missing, broken or newer files, or an
            unreachable hub.
        MissingExtraError: huggingface_hub is not installed.
        ConfigError: an unknown device or precision, or names that do not fit the model.
    """
    folder = local_folder(folder)
    network, config = load_model(folder)
    if device:
        config = config.model_copy(update={"device": device})
    path = folder / CLASSES_FILE
    names = read_classes(path) if named and path.exists() else None
    model = Segmenter(network, config, precision=precision, class_names=names)
    model.run = folder
    used, note = network_precision(model.device, precision)
    if note:
        _LOG.log(logging.INFO if used == precision else logging.WARNING, note)
    return model


@overload
def predict(model: Segmenter | str | Path, source: Pixels) -> Mask: ...


@overload
def predict(model: Segmenter | str | Path, source: str | Path) -> Any: ...


def predict(model: Segmenter | str | Path, source: Pixels | str | Path) -> Any:
    """Predict the ids of one image or of a folder; see `Segmenter.predict`.

    Args:
        model: a trained model, or its folder.
        source: a path, PIL image, array, tensor or folder.
    """
    return loaded(model).predict(source)


def loaded(model: Segmenter | str | Path) -> Segmenter:
    """The model itself, or the model loaded from a folder."""
    return model if isinstance(model, Segmenter) else load(model)
