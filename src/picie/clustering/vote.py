"""Choose a tree of the centroids without labels.

No cue says in every folder which centroids belong together, and no strength of a cue is right
everywhere. So several trees are built, each of which trusts the cues in another way. Trees that are
wrong are wrong in different ways, so a tree whose clusters are like those of the others is seldom
wrong (a consensus by the medoid; mean agreement with all members is how Strehl and Ghosh, JMLR
2002, judge one). And features differ more across the borders of true classes than inside them.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.spatial.distance import pdist, squareform
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.affinities import diffusion_distances
from picie.clustering.linkage import build_tree, flexible_linkage
from picie.clustering.tree import cut_tree
from picie.clustering.validity import adjusted_rand

__all__ = ["Vote", "vote_tree"]

_DIFFUSION = (0.0, 0.5, 1.0)  # weights of the diffusion distance; that of the plain one is 1
_CONTRASTS = {  # weights of the contrasts of colours and of features
    "colours and features": (0.5, 0.5),
    "colours": (1.0, 0.0),
    "features": (0.0, 1.0),
}
_BETAS = (-0.1, -0.2)  # of flexible linkage
_LEAST = 0.25  # of the contacts of two clusters, relative to the tree with the most


@dataclass(frozen=True)
class Vote:
    """The tree that was chosen.

    Attributes:
        tree: (P - 1, 3) float64, as from `build_tree`.
        rule: how it trusts the cues, in words; "" if there was no choice.
        agreement: mean adjusted Rand index of its clusters with those of the other trees, up to 1.
        contrast: how much features differ across the borders of its clusters, in multiples of how
            much they differ inside; 1 if no cells were measured.
        score: agreement + ln contrast, by which it was chosen.
        least: the score of the worst tree that was not left out.
        trees: the number of trees.
        touching: share of neighbouring cells that are in two clusters, 0..1; 0 if none were
            measured.
    """

    tree: Tensor
    rule: str = ""
    agreement: float = 1.0
    contrast: float = 1.0
    score: float = 1.0
    least: float = 1.0
    trees: int = 1
    touching: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.rule}; score {self.score:.2f}, the worst of {self.trees} {self.least:.2f}; "
            f"agreement {self.agreement:.2f}, contrast at borders {self.contrast:.2f}"
        )


def vote_tree(
    centroids: Tensor, clusters: int, shared: Tensor | None = None, contacts: Tensor | None = None
) -> Vote:
    """Build several trees, and keep the one of the highest score.

    Every tree comes from `flexible_linkage`: of the Euclidean distance of unit centroids, plus 0,
    1/2 or 1 times their `diffusion_distances`, each divided by its mean over all pairs; with the
    contrasts of colours, of features or of both; and with beta -0.1 or -0.2. Its score is the mean
    adjusted Rand index, over pixels, of its K clusters with those of the other trees, plus the
    logarithm of the contrast of features at their borders. The first of equal trees wins. Trees
    whose clusters touch less than a quarter as often as those of another tree are left out: their
    clusters hold whole images, and tell one kind of image from another, not what is in them.

    Args:
        centroids: (P, D), P >= 1.
        clusters: K, 1..P.
        shared: (P, P) from `shared_pixels`; None = `build_tree` from the centroids alone.
        contacts: (3, P, P) from `count_contacts`, with the contrasts of colours and of features;
            None = no contrasts.

    Returns:
        The vote; its tree is on the device of the centroids.
    """
    if shared is None or len(centroids) == 1:
        return Vote(build_tree(centroids))
    pairs = pdist(F.normalize(centroids.detach().double(), dim=1).cpu().numpy())
    near = _of_mean_one(torch.from_numpy(squareform(pairs)))
    along = _of_mean_one(diffusion_distances(shared.cpu()))
    trees, rules = [], []
    for weight, cue, beta in itertools.product(_DIFFUSION, _CONTRASTS, _BETAS):
        trees.append(flexible_linkage(near + weight * along, contacts, _CONTRASTS[cue], beta))
        rules.append(f"diffusion {weight:g}, contrasts of {cue}, beta {beta:g}")
    groups = [cut_tree(tree, clusters) for tree in trees]
    # The memberships of a pixel sum to 1, so a row sum is the number of pixels of that centroid.
    vote = _chosen(trees, rules, groups, shared.cpu().sum(1), contacts)
    return replace(vote, tree=vote.tree.to(centroids.device))


def _chosen(
    trees: Sequence[Tensor],
    rules: Sequence[str],
    groups: Sequence[Tensor],
    pixels: Tensor,
    contacts: Tensor | None,
) -> Vote:
    """The tree with the highest score among those whose clusters meet within images."""
    measured = [_at_borders(one, contacts) for one in groups]
    most = max(number for number, _ in measured)
    places = [place for place, (number, _) in enumerate(measured) if number >= _LEAST * most]
    agreements = _agreements([groups[place] for place in places], pixels)
    contrasts = [measured[place][1] for place in places]
    scores = [one + math.log(other) for one, other in zip(agreements, contrasts, strict=True)]
    best = scores.index(max(scores))
    tree, rule = trees[places[best]], rules[places[best]]
    found = (agreements[best], contrasts[best], scores[best])
    cells = 0.0 if contacts is None else float(contacts[0].sum())
    touching = measured[places[best]][0] / max(cells, 1.0)
    return Vote(tree, rule, *found, min(scores), len(trees), touching)


def _agreements(groups: Sequence[Tensor], pixels: Tensor) -> list[float]:
    """Mean adjusted Rand index of each (P,) grouping of the centroids with all others."""
    members = [F.one_hot(one).double() for one in groups]
    sums = torch.zeros(len(groups), dtype=torch.float64)
    for (i, first), (j, second) in itertools.combinations(enumerate(members), 2):
        sums[[i, j]] += adjusted_rand((first * pixels[:, None]).T @ second)
    means: list[float] = (sums / max(1, len(groups) - 1)).tolist()
    return means


def _at_borders(groups: Tensor, contacts: Tensor | None) -> tuple[float, float]:
    """Number of contacts of two groups; mean contrast of features there, relative to inside."""
    if contacts is None:
        return 0.0, 1.0
    inside = groups[:, None] == groups
    number, contrast = contacts[0].cpu(), contacts[-1].cpu()
    across, within = [(number[at].sum(), contrast[at].sum()) for at in (~inside, inside)]
    if min(float(one) for one in (*across, *within)) <= 0:
        return float(across[0]), 1.0
    return float(across[0]), float(across[1] / across[0] * within[0] / within[1])


def _of_mean_one(distances: Tensor) -> Tensor:
    """(P, P) distances, 0 on the diagonal, divided by their mean off the diagonal."""
    count = len(distances)
    mean = float(distances.sum()) / (count * (count - 1))
    return distances / max(mean, 1e-12)
