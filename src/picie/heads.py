"""What IIC is trained towards: two heads that learn classes of their own."""

from typing import Any

import torch
from torch import Tensor, nn

from picie.config import Config
from picie.models.picie import PiCIE
from picie.runtime.random import Stream, torch_seed
from picie.targets import keep_classifiers

__all__ = ["Heads"]


class Heads(nn.Module):
    """The main head, which predicts, and the auxiliary over-clustering head (IIC, section 3.3).

    They are learnt over all epochs, by the network's own optimiser.

    Args:
        config: feature size D, K and K2.

    Attributes:
        seconds: wall time of their preparation: none.
    """

    seconds = 0.0

    def __init__(self, config: Config) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(torch_seed(Stream.IIC_HEADS, config.seed))
            self.main = nn.Linear(config.feature_size, config.clusters)
            self.auxiliary = nn.Linear(config.feature_size, config.auxiliary_clusters)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K, h, w) and (B, K2, h, w) of features (B, D, h, w)."""
        rows = maps.permute(0, 2, 3, 1)
        main, auxiliary = (head(rows).permute(0, 3, 1, 2) for head in (self.main, self.auxiliary))
        return main, auxiliary

    def keep(self, model: PiCIE) -> None:
        """Put the main head into the model, which then predicts by it."""
        keep_classifiers(model, (self.main,))

    def record(self) -> dict[str, Any]:
        """Nothing: there is no clustering whose objective an epoch could report."""
        return {}
