"""The head: centroids that learn from names and strokes.

A person's name for a cluster is right for most of its pixels, not for all: where it is wrong,
strokes say so. So names are noisy labels. The head keeps the centroids of the model, moves them,
and lets its own predictions decide how far a name is to be trusted at each pixel (an expectation
maximisation over the unknown classes of unlabelled cells; Dempster, Laird and Rubin 1977).

With x a unit feature, the logit of class l is max_p (b_p + (u_p + v_l) . x) over the rows p of l.
At the start u_p = SHARPNESS times the centroid, b_p = 0 and v_l = 0, which gives the masks of the
names alone. Each round first sets the targets of unlabelled cells, q_l(x) ~ softmax(logits)_l *
trust_l(cluster of x), where trust is NAME_STROKES times the prior of the name plus the strokes that
were drawn in this cluster; then it minimises over u, v, b by L-BFGS

    (1 - s) cross-entropy of unlabelled cells with q + s cross-entropy of the strokes
    + ROW_PENALTY |u - start|^2 + CLASS_PENALTY |v|^2,  s = SHARE min(1, strokes / RAMP).

The penalties hold the head at the named clusters wherever nobody drew. Each stroke weighs the same.
`docs/research/teaching.md` has the measurements behind the constants.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import DataError
from picie.runtime.devices import one_thread

__all__ = ["Head", "Marks", "Start", "fit_head"]

SHARPNESS = 20.0
"""Factor of unit centroids at the start: logits per cosine."""

NAME_TRUST = 0.9
"""Prior probability that a cell is of the class that its cluster is named."""

NAME_STROKES = 5.0
"""Weight of a name against strokes in its cluster, as a number of strokes."""

RAMP = 50
"""Number of strokes from which on they have this share."""

SHARE = 0.2
"""Largest share of the strokes in the loss. Strokes are drawn where masks are wrong, so they must
not weigh more than the wrong pixels do: about a fifth. With a half, cells that were right before
get worse."""

ROW_PENALTY = 2e-4
CLASS_PENALTY = 5e-5

_ROUNDS = 3
_STEPS = 15  # of L-BFGS in each round
_LOW = -1e4  # logit of a class without rows; finite, because logits are interpolated


@dataclass(frozen=True)
class Start:
    """What is known before the first stroke.

    Attributes:
        rows: (P, D) float32 unit centroids.
        classes: (P,) int64, the class 0..L-1 of each.
        cells: (M, D) float32 unit features of random cells.
        clusters: (M,) int64, the row that each belongs to.
    """

    rows: Tensor
    classes: Tensor
    cells: Tensor
    clusters: Tensor


@dataclass(frozen=True)
class Marks:
    """Cells that a person gave a class.

    Attributes:
        cells: (S, D) float32 unit features.
        classes: (S,) int64, 0..L-1.
        clusters: (S,) int64, the row of `Start` that each belongs to.
        strokes: (S,) int64, the number 0..n-1 of the stroke that covers it.
    """

    cells: Tensor
    classes: Tensor
    clusters: Tensor
    strokes: Tensor


@dataclass(frozen=True)
class Head:
    """Rows of a linear classifier on unit features; the score of a class is that of its best row.

    Attributes:
        rows: (R, D) float32: those of `Start`, then one for each class that had none.
        offsets: (R,) float32.
        classes: (R,) int64, 0..L-1.
    """

    rows: Tensor
    offsets: Tensor
    classes: Tensor


@torch.enable_grad()
def fit_head(
    start: Start,
    marks: Marks,
    classes: int,
    *,
    before: Head | None = None,
    rounds: int = _ROUNDS,
    steps: int = _STEPS,
    check: Callable[[], object] = lambda: None,
) -> Head:
    """Fit the head to names and strokes.

    Args:
        start: the named clusters.
        marks: at least one cell.
        classes: L.
        before: a head to go on from, with the same rows; it needs fewer rounds and steps.
        rounds: of new targets for unlabelled cells.
        steps: of L-BFGS in each round.
        check: is called before each step, and may raise to stop the fit.

    Raises:
        DataError: no mark, or a class that is out of range.
    """
    if not len(marks.cells) or int(marks.classes.max()) >= classes:
        raise DataError("the head learns from one stroke or more, of classes that exist")
    origin, owners = _rows(start, marks, classes)
    order = owners.argsort(stable=True)
    fit = _Fit(origin[order], owners[order], start.cells, marks, classes)
    if before is not None:
        fit.begin(before.rows[order], before.offsets[order])
    trust = _trust(start, marks, classes)
    with one_thread():
        for _ in range(rounds):
            with torch.no_grad():
                targets = F.softmax(fit.logits(start.cells), 1) * trust[start.clusters]
                targets /= targets.sum(1, keepdim=True)
            fit.minimise(targets, steps, check)
    back = order.argsort()
    return Head(fit.rows.detach()[back], fit.offsets.detach()[back], owners)


class _Fit:
    """The parameters, and the loss that they minimise; rows are in the order of their classes."""

    def __init__(
        self, origin: Tensor, owners: Tensor, unlabelled: Tensor, marks: Marks, classes: int
    ) -> None:
        self._origin, self._owners = origin, owners
        self._counts = owners.bincount(minlength=classes).tolist()
        self._cells = torch.cat([unlabelled, marks.cells])
        self._labels = marks.classes
        weights = _weights(marks.strokes)
        self._weights = weights / weights.sum()
        self._share = SHARE * min(1.0, float(weights.sum()) / RAMP)
        self._own = origin.clone().requires_grad_()
        self._shared = origin.new_zeros(classes, origin.shape[1]).requires_grad_()
        self.offsets = origin.new_zeros(len(origin)).requires_grad_()

    @property
    def rows(self) -> Tensor:
        return self._own + self._shared[self._owners]

    def begin(self, rows: Tensor, offsets: Tensor) -> None:
        """Start from other rows, split into u + v as at a minimum of the penalties."""
        moved = torch.zeros_like(self._shared).index_add_(0, self._owners, rows - self._origin)
        counts = rows.new_tensor(self._counts)[:, None]
        shared = moved * (ROW_PENALTY / (CLASS_PENALTY + ROW_PENALTY * counts))
        self._shared = shared.requires_grad_()
        self._own = (rows - shared[self._owners]).detach().requires_grad_()
        self.offsets = offsets.clone().requires_grad_()

    def logits(self, cells: Tensor) -> Tensor:
        """(M, L) of (M, D) cells."""
        # Rows by cells: the part of each class is then contiguous, forwards and backwards.
        scores = torch.addmm(self.offsets[:, None], self.rows, cells.T)
        low = scores.new_full((len(cells),), _LOW)
        parts = scores.split(self._counts)
        return torch.stack([part.amax(0) if len(part) else low for part in parts], 1)

    def minimise(self, targets: Tensor, steps: int, check: Callable[[], object]) -> None:
        """L-BFGS with (M, L) targets of the unlabelled cells."""
        parameters = [self._own, self._shared, self.offsets]
        optimiser = torch.optim.LBFGS(
            parameters,
            max_iter=steps,
            tolerance_grad=1e-6,
            tolerance_change=1e-8,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            check()
            optimiser.zero_grad()
            loss = self._loss(targets)
            loss.backward()
            return loss

        optimiser.step(closure)

    def _loss(self, targets: Tensor) -> Tensor:
        logits = self.logits(self._cells)
        unlabelled = F.cross_entropy(logits[: len(targets)], targets)
        labelled = F.cross_entropy(logits[len(targets) :], self._labels, reduction="none")
        loss = (1 - self._share) * unlabelled + self._share * (self._weights * labelled).sum()
        moved = ROW_PENALTY * (self._own - self._origin).square().sum()
        return loss + moved + CLASS_PENALTY * self._shared.square().sum()


def _rows(start: Start, marks: Marks, classes: int) -> tuple[Tensor, Tensor]:
    """Rows at the start and their classes: the centroids, and the mean of classes without one."""
    rows, owners = [start.rows], [start.classes]
    for number in sorted(set(marks.classes.tolist()) - set(start.classes.tolist())):
        rows.append(F.normalize(marks.cells[marks.classes == number].mean(0), dim=0)[None])
        owners.append(start.classes.new_tensor([number]))
    return SHARPNESS * torch.cat(rows), torch.cat(owners)


def _weights(strokes: Tensor) -> Tensor:
    """(S,) float: 1 over the number of cells of the stroke."""
    return strokes.bincount().float().reciprocal()[strokes]


def _trust(start: Start, marks: Marks, classes: int) -> Tensor:
    """(P, L) how likely a cell of a cluster is of each class, by its name and its strokes."""
    known = torch.cat([start.classes, marks.classes]).unique()
    prior = start.rows.new_zeros(len(start.rows), classes)
    prior[:, known] = (1 - NAME_TRUST) / len(known)
    prior[torch.arange(len(prior)), start.classes] += NAME_TRUST
    strokes = torch.zeros_like(prior)
    strokes.index_put_((marks.clusters, marks.classes), _weights(marks.strokes), accumulate=True)
    trust = NAME_STROKES * prior + strokes
    return trust / trust.sum(1, keepdim=True)
