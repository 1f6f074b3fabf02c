"""From tensors of pictures to the similarity of every pixel to every cluster."""

from collections.abc import Sequence
from typing import Literal, Self, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import group_scores, scores
from picie.clustering.tree import cut_network
from picie.config import Config, make_config
from picie.errors import ConfigError
from picie.models.class_names import ClassNames
from picie.models.folding import FoldedCopy
from picie.models.picie import PiCIE
from picie.outputs import cluster_name, outputs_of
from picie.postprocessing.refinement import average_scales, refine_borders
from picie.runtime.devices import autocast, choose_device
from picie.visualization.palette import Colours, palette

__all__ = ["PixelClassifier", "Precision"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class PixelClassifier:
    """A network with its settings, on its device, in the precision it computes in.

    Args:
        network: features and centroids.
        config: the settings it was trained with.
        precision: of the network's arithmetic; auto is bf16 on a CUDA device that has it, else
            fp32. Logits are float32 in any case.
        class_names: names of its clusters; None = ids are cluster numbers.

    Raises:
        ConfigError: an unknown device or precision, or names that do not fit the model.
        NotFittedError: names for a model that has learnt nothing.
    """

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
        self._outputs = None if class_names is None else outputs_of(self.network, class_names)

    @property
    def clusters(self) -> int:
        """N, the number of different ids in masks: of named classes, then of unnamed clusters."""
        return self.network.clusters if self._outputs is None else len(self._outputs.names)

    @property
    def names(self) -> tuple[str, ...]:
        """N names by id; "cluster 5" for a cluster that has none."""
        if self._outputs is None:
            return tuple(cluster_name(number) for number in range(self.clusters))
        return self._outputs.names

    @property
    def colours(self) -> Colours:
        """(N, 3) uint8 sRGB by id."""
        return palette(self.clusters) if self._outputs is None else self._outputs.colours

    @property
    def centroid_ids(self) -> Tensor:
        """(P,) int64, the id of each centroid of the first view; N where it is ignored."""
        if self._outputs is None:
            return self.network.view_centroids(0)[1].cpu()
        return self._outputs.ids

    def named(self, class_names: ClassNames | None) -> Self:
        """The same model with names for its clusters; weights are shared.

        Masks, `names` and `colours` then have one id for each class in the order of its entries,
        and after them one for each cluster that has no name. Names belong to the first view.

        Args:
            class_names: the names; None takes them away.

        Raises:
            ConfigError: names that do not fit the model.
            NotFittedError: nothing was learnt.
        """
        return self._changed(self.network, self.config, class_names)

    def cut(self, clusters: int) -> Self:
        """The same model with another number of clusters and without names, without training.

        Weights are shared.

        Args:
            clusters: K, from 2 to the number of centroids; ids are numbered anew.

        Raises:
            ConfigError: a number that cannot be, or clusters that a learnt classifier separates.
            NotFittedError: nothing was learnt.
        """
        network = cut_network(self.network, clusters)
        config = self.config.model_copy(update={"clusters": clusters})
        return self._changed(network, config, None)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pixel features, not normalised.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            (B, D, h, w) float32 with h = H / stride, rounded up.
        """
        self.network.eval()
        lean = self._folded()
        with autocast(self.device, self._precision):
            features: Tensor = lean(images.to(self.device))
        return features.float()

    @torch.no_grad()
    def classify(self, features: Tensor, *, view: int = 0) -> Tensor:
        """Similarity of each feature to each id in masks: that of its best centroid.

        Args:
            features: (B, D, h, w) as `features` gives them.
            view: which set of centroids, from 0.

        Returns:
            (B, N, h, w) float32; larger = nearer. Where some class is ignored one channel more, its
            score, comes last.
        """
        self.check_view(view)
        centroids, _, offsets = self.network.view_centroids(view)
        rule = self.config.predict_rule
        if rule != "cosine" and self.config.unit_features:  # cosine divides by the length itself
            features = F.normalize(features, dim=1)
        found = scores(features, centroids, rule) + offsets[:, None, None]
        return self._grouped(found, view)

    def _grouped(self, values: Tensor, view: int) -> Tensor:
        """(B, N or N + 1, h, w) score of each id from (B, P, h, w) of each centroid."""
        if self._outputs is not None:
            return self._outputs.scores(values)
        return group_scores(values, self.network.view_centroids(view)[1])

    def check_view(self, view: int) -> None:
        """Refuse a set of centroids that masks cannot be made from.

        Raises:
            ConfigError: the model has names, which belong to view 0, and `view` is another.
            NotFittedError: nothing was learnt, or not as many views.
        """
        if view and self._outputs is not None:
            raise ConfigError(
                f"view {view}: the names belong to view 0; take them away with named(None), or "
                "load(folder, named=False)"
            )
        self.network.view_centroids(view)

    @torch.no_grad()
    def logits(self, images: Tensor, *, view: int = 0) -> Tensor:
        """What masks are made from: `classify` of the `features`, then the post-processing.

        Args:
            images: (B, 3, H, W) float in [0, 1], sides multiples of 32.
            view: which set of centroids, from 0.

        Returns:
            (B, N, h, w) float32 on the grid of the features; (B, N, H / 2, W / 2) where several
            scales are averaged or borders refined, as the config says. N + 1 channels where some
            class is ignored, as in `classify`.
        """
        self.check_view(view)  # before the network works for nothing
        scales, iterations = self.config.predict_scales, self.config.refine

        def plain(pictures: Tensor) -> Tensor:
            return self.classify(self.features(pictures), view=view)

        if scales == (1.0,) and not iterations:
            return plain(images)
        averaged = average_scales(plain, images, scales)
        return refine_borders(averaged, images.to(averaged.device), iterations)

    def post_processed(
        self, *, scales: Sequence[float] | None = None, refine: int | None = None
    ) -> Self:
        """The same model with another post-processing; weights are shared and names kept.

        Args:
            scales: factors of the size at which pictures are seen, 0.25..4; None = as they are.
            refine: iterations of border refinement, 0 = none; None = as they are.

        Raises:
            ConfigError: values that cannot be.
        """
        changed = {"predict_scales": scales and tuple(scales), "refine": refine}
        values = {name: value for name, value in changed.items() if value is not None}
        config = make_config(**self.config.model_dump() | values)
        return self._changed(self.network, config, self.class_names)

    def _changed(self, network: PiCIE, config: Config, class_names: ClassNames | None) -> Self:
        return type(self)(network, config, precision=self._precision, class_names=class_names)
