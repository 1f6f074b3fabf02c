"""The audit in the studio: one pixel at a time, until the accuracy is known well enough.

A check of a model begins with a plan, for which a sample of the photos is predicted, one at a time
and behind everything else that the worker does. Then a person answers; each answer is an event, so
that the undo of everything undoes it. Once names or strokes change, the masks are other ones: what
was found stays on the screen, and a new check has to begin. As long as nothing was answered, it
begins by itself.
"""

import io
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from picie.annotation.audit import (
    AuditPlan,
    AuditPlanning,
    AuditResult,
    Check,
    answer,
    answers_to,
    audit_result,
    audited_digest,
    classes_of,
    render_crop,
)
from picie.annotation.events import Event
from picie.data.folder import PhotoFolder
from picie.errors import ConfigError, PicieError
from picie.inference.segmenter import Segmenter
from picie.studio.broadcast import Broadcast
from picie.studio.work import REST, VIEW, Worker

__all__ = ["CROP_KIND", "TARGET", "Checking"]

CROP_KIND = "image/webp"
"""Media type of a crop."""

TARGET = 5.0
"""Default of the half-width of the interval of the accuracy at which a check ends, in points."""

_LOG = logging.getLogger("picie.studio")
_CHECKS = 400  # pixels that are planned, unless another number is asked for; few need as many
_MOST_CHECKS = 5_000
_AHEAD = 3  # crops made before they are asked for
_KEPT = 32  # crops in memory
_LEAST = 20  # answers before a check ends by itself
_QUALITY = 88
_PATIENCE = 0.2  # seconds between looks at whether the model has settled

State = Literal["none", "planning", "ready", "stale", "done", "failed"]


@dataclass(eq=False)
class _Audit:
    """One check of one model."""

    number: int
    checks: int
    seed: int
    target: float
    version: object = None
    planning: AuditPlanning | None = None
    steps: Iterator[str] | None = None
    seen: int = 0
    plan: AuditPlan | None = None
    problem: str = ""


class Checking:
    """The audit of a studio.

    Args:
        folder: the photos.
        worker: does what needs the model.
        broadcast: tells the pages.
        current: version and model that is used now, with names; from any thread.
        events: the events that count, in order; from any thread.
        record: writes an event to the history.
        settled: whether the model has learnt all that it is to learn for now: a check waits for it.
    """

    def __init__(
        self,
        folder: PhotoFolder,
        worker: Worker,
        broadcast: Broadcast,
        *,
        current: Callable[[], tuple[object, Segmenter]],
        events: Callable[[], Iterable[Event]],
        record: Callable[[Event], object],
        settled: Callable[[], bool] = lambda: True,
    ) -> None:
        self._folder, self._worker, self._broadcast = folder, worker, broadcast
        self._current, self._events, self._record = current, events, record
        self._settled = settled
        self._audit: _Audit | None = None
        self._audits = 0
        self._fresh: tuple[object, bool] = (None, True)  # a version, and whether it is audited
        self._crops: OrderedDict[tuple[int, int], Future[bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, *, checks: int = _CHECKS, seed: int = 0, target: float = TARGET) -> None:
        """Begin a check of the model as it is now, in place of the one before.

        Args:
            checks: most pixels to check.
            seed: of the sample.
            target: half-width of the interval of the accuracy at which it ends, in points.

        Raises:
            ConfigError: impossible values, or a model without names.
        """
        if not 1 <= checks <= _MOST_CHECKS or not 0 < target <= 50 or not 0 <= seed < 2**31:
            raise ConfigError(
                f"{checks} checks, target {target:g}, seed {seed}: give 1 to {_MOST_CHECKS} "
                "checks, a target above 0 and up to 50 points, and a seed from 0"
            )
        classes_of(self._current()[1])
        with self._lock:
            self._audits += 1
            audit = self._audit = _Audit(self._audits, checks, seed, target)
        self._worker.run(REST, lambda: self._step(audit))
        self._tell()

    def _step(self, audit: _Audit) -> None:
        """Predict one photo of the sample, in the worker, and come again for the next."""
        if audit is not self._audit:
            return  # another one has begun
        if not self._settled():
            again = threading.Timer(_PATIENCE, self._worker.run, (REST, lambda: self._step(audit)))
            again.daemon = True
            again.start()
            return
        try:
            self._plan(audit)
        except PicieError as error:
            audit.problem = str(error)
        except Exception as error:  # a page must not wait for it for ever
            _LOG.exception("the check cannot be planned")
            audit.problem = f"unexpected {type(error).__name__}: {error}; begin the check anew"
        else:
            if audit.plan is None:
                self._worker.run(REST, lambda: self._step(audit))
        self._tell()

    def _plan(self, audit: _Audit) -> None:
        version, model = self._current()
        if audit.planning is None or audit.version != version:  # it has learnt more meanwhile
            audit.version, audit.seen = version, 0
            audit.planning = AuditPlanning(
                model, self._folder, audit.checks, seed=audit.seed, batch_size=1, workers=0
            )
            audit.steps = iter(audit.planning)
        if audit.steps is not None and next(audit.steps, None) is not None:
            audit.seen += 1
        else:
            audit.plan = audit.planning.plan()

    def _tell(self) -> None:
        state = self.state()
        self._broadcast.publish("check", {key: state[key] for key in ("state", "done", "total")})

    def answer(self, number: int, *, right: bool, title: str = "", by: str = "studio") -> Event:
        """Record the answer to a question.

        Args:
            number: of the check, from 0.
            right: whether the predicted class is right.
            title: the true class of a wrong one; "" = not said.
            by: who answers.

        Raises:
            ConfigError: no such question, an impossible name, or masks that have changed since.
        """
        audit = self._audit
        if audit is None or audit.plan is None or not 0 <= number < len(audit.plan.checks):
            raise ConfigError(f"there is no question {number}; begin a check first")
        if self._is_stale(audit):
            raise ConfigError("names or strokes have changed since; begin a new check")
        event = answer(audit.plan, audit.plan.checks[number], right=right, title=title, by=by)
        self._record(event)
        self._tell()
        return event

    def state(self) -> dict[str, Any]:
        """All that the page shows, as plain values."""
        audit = self._audit
        shown: dict[str, Any] = {
            "state": "none", "done": 0, "total": 0, "question": None, "next": [], "result": None,
            "target": TARGET, "problem": "", "problems": [],
        }  # fmt: skip
        if audit is None:
            return shown
        shown |= {"target": audit.target, "problem": audit.problem}
        if audit.planning is not None:
            shown |= {"total": audit.planning.total, "problems": list(audit.planning.problems)}
        if audit.plan is None:
            state: State = "failed" if audit.problem else "planning"
            return shown | {"state": state, "done": audit.seen}
        events = list(self._events())
        answered = answers_to(audit.plan, events)
        stale = self._is_stale(audit)
        if stale and not answered:
            with suppress(ConfigError):  # its last name is gone: then it stays as it is
                self.start(checks=audit.checks, seed=audit.seed, target=audit.target)
                return self.state()
        result = audit_result(audit.plan, events)
        state = "done" if _is_enough(result, audit.target) else "ready"
        waiting = [
            number for number, check in enumerate(audit.plan.checks) if check not in answered
        ]
        state = "stale" if stale else state if waiting else "done"
        shown |= {"state": state, "done": len(answered), "total": len(audit.plan.checks)}
        shown["result"] = _finite(result.to_json()) if answered else None
        if state in ("ready", "done") and waiting:
            shown["question"] = self._question(audit, waiting[0])
            shown["next"] = [_crop_url(audit, number) for number in waiting[1 : 1 + _AHEAD]]
            if state == "ready":
                self._prefetch(audit, waiting[: 1 + _AHEAD])
        return shown

    def _question(self, audit: _Audit, number: int) -> dict[str, Any]:
        check = self._check(audit, number)
        place = next(
            (n for n, photo in enumerate(self._folder.photos) if photo.name == check.image), None
        )
        return {
            "number": number,
            "photo": place,
            "name": check.image,
            "predicted": check.predicted,
            "point": list(check.point),
            "crop": _crop_url(audit, number),
        }

    def crop(self, audit: int, number: int) -> "Future[bytes]":
        """The crop of a question as a WebP file; made in the worker.

        Args:
            audit: number of the check of a model, as in the address of the crop.
            number: of the question.

        Raises:
            ConfigError: there is no such question.
        """
        current = self._audit
        if current is None or current.number != audit or current.plan is None:
            raise ConfigError("this crop is of an earlier check; begin a new one")
        if not 0 <= number < len(current.plan.checks):
            raise ConfigError(f"there is no question {number}")
        return self._made(current, number, VIEW)

    def _prefetch(self, audit: _Audit, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._made(audit, number, REST)

    def _made(self, audit: _Audit, number: int, priority: int) -> "Future[bytes]":
        key = audit.number, number
        with self._lock:
            future = self._crops.get(key)
            # One that waits behind everything else is asked for anew once somebody looks at it.
            if future is None or (priority == VIEW and not future.done() and future.cancel()):
                future = self._worker.run(priority, lambda: _drawn(audit, number))
                self._crops[key] = future
            self._crops.move_to_end(key)
            while len(self._crops) > _KEPT:
                self._crops.popitem(last=False)[1].cancel()
        return future

    def _check(self, audit: _Audit, number: int) -> Check:
        if audit.plan is None:
            raise ConfigError("the check is not planned yet")
        return audit.plan.checks[number]

    def _is_stale(self, audit: _Audit) -> bool:
        """Whether masks are other ones than those that are checked; new colours do not matter."""
        version, model = self._current()
        if version == audit.version or audit.plan is None:
            return False
        known, fresh = self._fresh
        if known != version:
            try:
                fresh = audited_digest(_read_as(model, audit)) == audit.plan.model
            except PicieError:
                fresh = False
            self._fresh = (version, fresh)
        return not fresh


def _read_as(model: Segmenter, audit: _Audit) -> Segmenter:
    """A model that reads images as the one that is checked does."""
    if audit.planning is None:
        return model
    return model.read_as(stretch=audit.planning.model.config.reading.stretch)


def _drawn(audit: _Audit, number: int) -> bytes:
    if audit.plan is None or audit.planning is None:
        raise ConfigError("the check is not planned yet")
    image = render_crop(audit.planning.model, audit.plan, audit.plan.checks[number])
    file = io.BytesIO()
    image.save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue()


def _crop_url(audit: _Audit, number: int) -> str:
    return f"/api/check/crop/{audit.number}/{number}"


def _is_enough(result: AuditResult, target: float) -> bool:
    """Whether the interval is as narrow as it was wanted."""
    accuracy = result.accuracy
    width = accuracy.high - accuracy.low
    return accuracy.checks >= _LEAST and width <= 2 * target


def _finite(value: Any) -> Any:
    """The same values with None in place of numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
