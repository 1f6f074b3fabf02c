"""The decoder's start: PCA of the backbone's stages over clean pictures."""

from collections.abc import Iterable

import torch

from picie.config import Config
from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.models.projection import StageMoments
from picie.processes import Processes
from picie.types import Batch
from picie.views.pair import clean_view

__all__ = ["start_decoder"]


@torch.no_grad()
def start_decoder(
    model: PiCIE, batches: Iterable[Batch], config: Config, processes: Processes | None = None
) -> bool:
    """Set the laterals so that the features are the leading principal components.

    Args:
        model: its decoder is changed.
        batches: base crops of the pictures to look at.
        config: size of the view and number of channels.
        processes: those that share the pictures.

    Returns:
        whether there was any picture.
    """
    stages = model.backbone
    moments = StageMoments(stages.channels, stages.strides, (processes or Processes()).sum)
    backbone = folded(model.eval()).backbone
    for batch in batches:
        moments.update(backbone(clean_view(batch.images, config.size)))
    if not moments.total:
        return False
    mean, directions = moments.projection(config.feature_size)
    device = model.centroids.device
    model.decoder.start_from(mean.to(device), directions.to(device))
    return True
