"""Which settings go together: the checks of `Config` that look at more than one field."""

from typing import Any

__all__ = ["TRACKERS", "check_together"]

TRACKERS = ("tensorboard", "wandb")
"""Names that the setting `track` takes."""


def check_together(config: Any) -> None:
    """Refuse settings that contradict each other.

    Args:
        config: a `Config` whose fields are right each by itself.

    Raises:
        ValueError: which fields, and what to set instead.
    """
    _check_ranges(config)
    _check_objective(config)
    unknown = [name for name in config.trackers if name not in TRACKERS]
    if unknown:
        raise ValueError(f"track {unknown[0]!r}: known: {', '.join(TRACKERS)}")


def _check_ranges(config: Any) -> None:
    if config.crop_min > config.crop_max:
        raise ValueError("crop_min is larger than crop_max")
    if config.blur_min > config.blur_max:
        raise ValueError("blur_min is larger than blur_max")
    for name in ("kmeans_scales", "predict_scales"):
        scales = getattr(config, name)
        if not scales or not all(0.25 <= one <= 4 for one in scales):
            raise ValueError(
                f"{name} {list(scales)}: give one or more factors from 0.25 to 4, such as 1 and 1.5"
            )


def _check_objective(config: Any) -> None:
    if config.objective == "frozen" and config.epochs:
        raise ValueError("objective frozen trains nothing: set epochs to 0")
    kept = config.final_centroids == "trained" and config.epochs > 0
    learnt = config.classifier == "parametric" or config.objective == "iic"
    if kept and learnt and config.predict_rule != "dot":
        raise ValueError(
            "a learnt classifier predicts by dot products: set predict_rule to dot, or "
            "final_centroids to clean"
        )
    plain = not config.unit_features and config.objective != "iic"
    if plain and config.kmeans_metric == "spherical":
        raise ValueError(
            "spherical k-means divides features by their length: set kmeans_metric to "
            "euclidean, or leave unit_features on"
        )
