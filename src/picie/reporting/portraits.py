"""What each cluster looks like: one pass over photos, with a memory that does not grow with them.

Every photo is looked at once, at the size at which the network sees it, and counts the same
whatever its own size.
"""

from collections.abc import Sequence

import torch
from numpy import float64
from numpy.typing import NDArray
from torch.nn.functional import normalize, one_hot

from picie.clustering.pseudo_labels import scores
from picie.data.folder import PhotoFolder
from picie.data.images import check_size
from picie.data.photo_loader import Picture, choose_workers, in_batches, read_ahead
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter, enlarge
from picie.reporting.gathering import Memory, Portraits, Seen
from picie.runtime.progress import Reporter

__all__ = ["MOST_SHOTS", "closeness", "make_portraits"]

MOST_SHOTS = 1_000
"""Photos of the gallery at most."""

_BATCH = 8


def make_portraits(
    model: Segmenter,
    folder: PhotoFolder,
    *,
    gallery: int = 200,
    size: int | None = None,
    workers: int = -1,
    reporter: Reporter | None = None,
) -> Portraits:
    """Look at all photos of a folder once.

    Args:
        model: a trained model.
        folder: its photos; masks are not looked at.
        gallery: most photos that are kept as small copies, chosen at even distances in the order of
            their names; 0..1000.
        size: short side in pixels at which the network sees a photo; as in training if None.
        workers: threads that read photos; 0 = none, -1 = chosen from the cores.
        reporter: shows how far it came.

    Raises:
        ConfigError: a gallery, a size or a number of workers that cannot be.
        DataError: no photo can be read.
    """
    side = model.config.size if size is None else size
    check_size(side)
    if not 0 <= gallery <= MOST_SHOTS:
        raise ConfigError(
            f"a gallery of {gallery} photos: give 0 to {MOST_SHOTS}; more would make a page that "
            "is slow to open (all photos are counted in any case)"
        )
    if workers < -1:
        raise ConfigError(f"{workers} workers: give 0 or more, or -1 for automatic")
    reporter = reporter or Reporter(quiet=True)
    chosen = _evenly(len(folder), gallery)
    memory = Memory(model, len(folder), len(chosen))
    threads = choose_workers(workers, model.device)
    pictures = read_ahead(folder.photos, side, ahead=_BATCH + threads, workers=threads)

    def look(batch: Sequence[Picture]) -> list[Seen]:
        return _look(model, batch)

    with reporter.task("report", len(folder)) as advance:
        for number, (one, seen) in enumerate(in_batches(pictures, _BATCH, look)):
            if seen is None:
                memory.problems.append(one.problem)
            else:
                memory.add(one, seen, number, shown=number in chosen)
            advance(1)
    if not memory.photos:
        raise folder.none_read(memory.problems[0])
    return memory.finish()


def closeness(model: Segmenter) -> NDArray[float64]:
    """(N, N) mean cosine of the centroids of two ids; 0 for an id without centroids."""
    unit = normalize(model.network.view_centroids(0)[0].double(), dim=1).cpu()
    member = one_hot(model.centroid_ids, model.clusters + 1).double().T[:-1]  # (N, P)
    sizes = member.sum(1, keepdim=True).clamp_min(1)
    means: NDArray[float64] = (member @ unit @ unit.T @ member.T / sizes / sizes.T).numpy()
    return means


def _look(model: Segmenter, batch: Sequence[Picture]) -> list[Seen]:
    pixels = torch.stack([one.pixels for one in batch if one.pixels is not None])
    fractions = pixels.to(model.device).float().div_(255)
    features = model.features(fractions)
    plain = model.config.post_processing == "none"
    logits = model.classify(features) if plain else model.logits(fractions)
    similar = scores(features, model.network.view_centroids(0)[0], "cosine")
    return [
        Seen(enlarge(one, fractions.shape[2:]), near.cpu().numpy())
        for one, near in zip(logits, similar, strict=True)
    ]


def _evenly(count: int, wanted: int) -> frozenset[int]:
    """`wanted` positions out of `count` at even distances, or all of them."""
    if wanted >= count:
        return frozenset(range(count))
    return frozenset((2 * place + 1) * count // (2 * wanted) for place in range(wanted))
