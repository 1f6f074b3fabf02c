"""Run a suite: train, score and record every run, and rewrite the tables after each.

Finished runs are kept, interrupted ones are resumed, and failures are recorded and skipped.
"""

import gc
import json
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from picie.benchmark.plan import (
    Job,
    absence,
    describe_images,
    draw_scenes,
    is_at_hand,
    plan,
    select,
)
from picie.benchmark.probe import check_probe, probe_features
from picie.benchmark.records import (
    JobStatus,
    State,
    find_standing,
    make_record,
    read_note,
    read_record,
    surroundings,
    write_json,
)
from picie.benchmark.suite import Suite, read_suite
from picie.benchmark.tables import make_document, write_pages
from picie.config import MACHINE
from picie.data.datasets.dataset import drawn
from picie.data.datasets.registry import DATASETS
from picie.errors import ConfigError, DataError, LayoutError
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter, load
from picie.runs import Run
from picie.runtime.files import remove_parts
from picie.runtime.locks import locked
from picie.runtime.outputs import check_output
from picie.runtime.printable import printable
from picie.runtime.progress import Reporter
from picie.training.loop import resume, train

__all__ = ["Benchmark", "Failure", "open_benchmark"]

Failure = dict[str, str]
"""slug, error, message and traceback of a failed run."""


def open_benchmark(
    suite: str | Path, out: str | Path, *, root: str | Path = ".", only: str = ""
) -> "Benchmark":
    """Read and check a suite; nothing is run or written.

    Args:
        suite: TOML file.
        out: folder of the results.
        root: folder that paths of data sets are relative to.
        only: select the runs whose name contains this; * and ? are wildcards.

    Raises:
        ConfigError: an invalid suite, or `only` matches no run.
    """
    parsed = read_suite(Path(suite))
    jobs = plan(parsed, root=Path(root), out=Path(out))
    chosen = select(jobs, only) if only else jobs
    return Benchmark(parsed, Path(out), jobs, chosen)


@dataclass
class Benchmark:
    """A suite, its runs, and the folder of its results.

    Attributes:
        suite: what is compared.
        out: folder of the results.
        jobs: every run of the suite.
        chosen: the runs selected by `only`.
    """

    suite: Suite
    out: Path
    jobs: list[Job]
    chosen: list[Job]
    _images: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False)

    def status(self, job: Job) -> JobStatus:
        """The progress of a run.

        Raises:
            DataError: a split or labels are missing.
            ModelError: its record is damaged.
        """
        status = self._standing(job, self._known(job))
        if status.state is not State.DONE and absence(job):
            return JobStatus(State.ABSENT, status.todo, status.changes)
        return status

    def run(
        self, reporter: Reporter, *, overwrite: bool = False, skip_missing: bool = False
    ) -> list[Failure]:
        """Run what is unfinished, and rewrite the tables after every run.

        Args:
            reporter: shows progress.
            overwrite: repeat runs that no longer match the suite; the others are kept.
            skip_missing: skip missing data sets.

        Returns:
            the runs that failed in this call.

        Raises:
            DataError: a data set is missing or unusable.
            ConfigError: a run no longer matches the suite, and `overwrite` is off.
            PicieError: another process works in the folder of the results.
        """
        jobs = self._at_hand(reporter, skip_missing=skip_missing)
        for job in jobs:  # raises for data that cannot be used, before anything is written
            self._known(job)
            if self._probe(job) and is_at_hand(job):
                check_probe(job)
        with locked(self.out, "picie bench", inside=True):
            for folder in (self.out, self.out / "records", self.out / "runs"):
                remove_parts(folder, ".json", ".md", ".html")
            return self._run(jobs, reporter, overwrite=overwrite)

    def _run(self, jobs: list[Job], reporter: Reporter, *, overwrite: bool) -> list[Failure]:
        statuses = [(job, self.status(job)) for job in jobs]
        if not overwrite:
            self._refuse_changes(statuses)
        for job in {job.data.name: job for job in jobs}.values():
            draw_scenes(job)
        waiting = [job for job, status in statuses if status.state is not State.DONE]
        reporter.say(f"{len(jobs)} runs, {len(jobs) - len(waiting)} of them done: {self.out}")
        self._write([])
        around, failures = surroundings(), list[Failure]()
        for number, job in enumerate(waiting, 1):
            reporter.say(f"[{number}/{len(waiting)}] {job.slug}")
            try:
                self._run_one(job, around, reporter)
            except Exception as error:
                failures.append(_failure(job, error))
                reporter.say(f"failed: {failures[-1]['error']}: {failures[-1]['message']}")
            self._write(failures)
            _free_memory()
        return failures

    def _standing(self, job: Job, images: Mapping[str, Any] | None) -> JobStatus:
        evaluate, probe = self.suite.evaluate, self._probe(job)
        return find_standing(job, images=images, evaluate=evaluate, probe=probe)

    def _probe(self, job: Job) -> Literal["", "linear", "knn"]:
        return self.suite.probe(job.system, job.seed)

    def _known(self, job: Job) -> dict[str, Any] | None:
        name = job.data.name
        if name not in self._images and is_at_hand(job):
            self._images[name] = describe_images(job)
        return self._images.get(name)

    def _at_hand(self, reporter: Reporter, *, skip_missing: bool) -> list[Job]:
        missing = {job.data.name: job for job in self.chosen if absence(job)}
        for job in missing.values():
            if not skip_missing:
                known = DATASETS.get(job.data.dataset)
                raise LayoutError(
                    f"{printable(absence(job))}, which does not exist; give the folder that the "
                    "suite's paths start from as --data ROOT, or skip the data set with "
                    f"--skip-missing{drawn(known) if known else ''}"
                )
            reporter.say(f"skipped: {absence(job)}")
        jobs = [job for job in self.chosen if job.data.name not in missing]
        if not jobs:
            raise DataError(f"{self.suite.path}: none of its data sets exists; give --data ROOT")
        return jobs

    def _refuse_changes(self, statuses: list[tuple[Job, JobStatus]]) -> None:
        changed = [(job, status.changes) for job, status in statuses if status.changes]
        if changed:
            job, changes = changed[0]
            raise ConfigError(
                f"{self.out}: {len(changed)} of {len(statuses)} runs no longer match the suite; "
                f"{job.slug}: {'; '.join(changes)}. Repeat them with --overwrite, or choose "
                "another --out"
            )

    def _run_one(self, job: Job, around: Mapping[str, Any], reporter: Reporter) -> None:
        images = self._known(job) or {}
        todo = self.status(job).todo
        job.record_path.unlink(missing_ok=True)
        model, seconds = _train(job, todo, images, quiet=reporter.quiet)
        began = time.monotonic()
        evaluation = evaluate(
            model,
            job.images,
            split=job.data.eval,
            dataset=job.data.dataset,
            reporter=reporter,
            **self.suite.evaluate,
        )
        seconds["evaluate"] = round(time.monotonic() - began, 2)
        probe = self._probe(job)
        protocol = self.suite.evaluate
        record = make_record(
            job,
            suite=self.suite.title,
            images=images,
            evaluate=protocol,
            scores=evaluation.to_json(),
            seconds=seconds,
            around=around,
            probe=probe_features(model, job, probe, protocol, reporter) if probe else None,
        )
        write_json(job.record_path, record)
        scores = evaluation.scores
        reporter.say(
            f"accuracy {scores.accuracy:.1f} %, mIoU {scores.miou:.1f} %, "
            f"{scores.void_share:.1f} % of the pixels void"
        )
        for note in evaluation.notes:
            reporter.say(f"note: {note}")

    def _write(self, new: list[Failure]) -> None:
        """Write the tables, and failures.json, which keeps unresolved failures of earlier calls."""
        done = [job for job in self.jobs if self._is_done(job)]
        records = [
            record | {"system": job.system.name}  # the suite may spell it differently now
            for job in done
            if (record := read_record(job.record_path))
        ]
        path = self.out / "failures.json"
        check_output(path, _is_failures, inputs=tuple)
        known = {failure["slug"]: failure for failure in [*_read_failures(path), *new]}
        failures = [known[job.slug] for job in self.jobs if job.slug in known and job not in done]
        self.out.mkdir(parents=True, exist_ok=True)
        if failures:
            write_json(path, failures)
        else:
            path.unlink(missing_ok=True)
        write_pages(make_document(self.suite, self.jobs, records, failures), self.out)

    def _is_done(self, job: Job) -> bool:
        """Whether a run is finished. Images of data sets that were not selected are not checked."""
        return self._standing(job, self._images.get(job.data.name)).state is State.DONE


def _train(
    job: Job, todo: State, images: Mapping[str, Any], *, quiet: bool
) -> tuple[Segmenter, dict[str, Any]]:
    """Train or resume; the model, and the training time including that before an interruption."""
    if todo is State.TRAINED:
        seconds = read_note(job).get("seconds") or {"train": _seconds(job), "resumed": True}
        # Use the current folder of the images, which fresh centroids read.
        return Segmenter(load(job.folder, named=False).network, job.config), seconds
    before = _seconds(job) if todo is State.STARTED else 0.0
    began = time.monotonic()
    if todo is State.STARTED:
        machine = {name: getattr(job.config, name) for name in MACHINE}
        model = resume(job.folder, quiet=quiet, **machine)
    else:
        # Without config.toml, an older run cannot be mistaken for one started with these images.
        (job.folder / "config.toml").unlink(missing_ok=True)
        write_json(job.note_path, {"pictures": images})
        model = train(
            job.images,
            job.folder,
            split=job.data.train,
            config=job.config,
            overwrite=True,
            quiet=quiet,
        )
    took = round(before + time.monotonic() - began, 2)
    seconds = {"train": took, "resumed": todo is State.STARTED}
    write_json(job.note_path, {"pictures": images, "seconds": seconds})
    return model, seconds


def _seconds(job: Job) -> float:
    """Seconds of the finished epochs of a run."""
    epochs = Run.open(job.folder).metrics()
    return float(sum(sum(epoch.get("seconds", {}).values()) for epoch in epochs))


def _failure(job: Job, error: Exception) -> Failure:
    return {
        "slug": job.slug,
        "error": type(error).__name__,
        "message": str(error),
        "traceback": "".join(traceback.format_exception(error)),
    }


def _is_failures(path: Path) -> bool:
    return path.read_bytes().strip() == b"[]" or bool(_read_failures(path))


def _read_failures(path: Path) -> list[Failure]:
    try:
        failures = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return []
    return [failure for failure in failures if isinstance(failure, dict) and "slug" in failure]


def _free_memory() -> None:
    """Release memory of a failed run, so that the next one does not fail too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
