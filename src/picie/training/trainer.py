"""One training run in one process: its network, its images, its files."""

import json
import logging
import shlex
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from picie.clustering.features import clean_sample, cluster_order
from picie.clustering.kept_stages import KeptStages
from picie.clustering.vote import Vote
from picie.config import Config
from picie.data.crop_loader import counted, image_loader, open_crops
from picie.data.folder import Photo
from picie.errors import DataError, ModelError
from picie.evaluation.health import health_sample, health_text, verdict
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.models.storage import save_model
from picie.models.sync_batchnorm import share_batch_statistics
from picie.runs import Run
from picie.runtime.devices import autocast, choose_device, network_precision
from picie.runtime.distributed import Processes
from picie.runtime.files import write_atomically
from picie.runtime.profiler import Clock
from picie.runtime.progress import Reporter
from picie.runtime.random import Stream, numpy_generator
from picie.training.checkpoint import load_checkpoint, save_checkpoint
from picie.training.decoder_init import start_decoder
from picie.training.epoch import EpochTotals, epoch_line
from picie.training.step import compute_losses, make_optimizer
from picie.training.targets import Heads, Targets, fit_targets
from picie.training.tracking import Tracking
from picie.training.validation import check_health, cluster_clean_images, curve_values
from picie.types import Batch, Losses
from picie.views.pair import Views

__all__ = ["Trainer"]

_LOG = logging.getLogger("picie")
_CHECKPOINT = "state.safetensors"
_LEAST_TOUCHING = 0.5  # of the share without training; below, clusters became those of images


class Trainer:
    """State of one training run; the method itself is in `fit_targets` and `step`.

    Args:
        run: the run folder.
        config: all settings.
        network: the initial network.
        photos: the images.
        reporter: shows the progress.
        processes: the processes that share the work.
        notes: what was left out of the folder of images.
        profile: measure the time of each part.
    """

    def __init__(
        self,
        run: Run,
        config: Config,
        network: PiCIE,
        photos: Sequence[Photo],
        *,
        reporter: Reporter,
        processes: Processes,
        notes: Sequence[str] = (),
        profile: bool = False,
    ) -> None:
        self.run, self.config, self.photos = run, config, photos
        self.reporter, self.processes, self.notes = reporter, processes, notes
        self.device = choose_device(self.processes.device or config.device)
        self.clock = Clock(on=profile, device=self.device)
        self.model = network.to(self.device).to(memory_format=torch.channels_last)
        self.heads = Heads(config).to(self.device) if config.objective == "iic" else None
        if self.processes.count > 1:
            share_batch_statistics(self.model, self.processes.differentiable_sum)
        if config.compile:
            self.model.backbone.compile()
            self.model.decoder.compile()
        self.crops = open_crops(photos, config, _cache_folder(run.folder))
        self.loader = image_loader(self.crops, config, self.device, self.processes)
        self.stages = KeptStages(
            self._clean_passes(), _cache_folder(run.folder), config.cache_disk_mb * 10**6
        )
        self.tracking = Tracking(run.folder, config, self.crops, self.device, self._say)
        self.feature_size = -(-config.size // self.model.stride)
        self.finished = 0
        self.began = time.monotonic()
        self._autocast = partial(autocast, self.device, config.precision)

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the network; made when it is used, since that imports the compiler."""
        return make_optimizer(self.model, self.heads, self.config)

    def log_to_file(self) -> AbstractContextManager[None]:
        """Context in which the main process writes train.log."""
        return self.run.log_to_file() if self.processes.main else nullcontext()

    def start(self) -> int:
        """Restore the last checkpoint or initialise the decoder; returns the first epoch."""
        epoch = self._restore()
        if self.processes.main:
            self._check_recorded(epoch)
            self.run.truncate_metrics(epoch)
            self.tracking.start(epoch)
        self._count(epoch)
        note = network_precision(self.device, self.config.precision)[1]
        for line in (*self.notes, *filter(None, [note])):
            self._say(line)
        if epoch:
            self._say(f"resuming {self.run.folder}: {epoch} of {self.config.epochs} epochs done")
            return epoch
        count = self.processes.count
        start = f"{len(self.photos)} images, {self.config.clusters} clusters, "
        start += f"{self.config.backbone} on {self.device}" + f", {count} processes" * (count > 1)
        for line in (*self.model.backbone.notes, start):
            self._say(line)
        if self.config.decoder_init == "pca":
            self._start_from_pca()
        return 0

    def fit_targets(self, views: Views, epoch: int) -> Targets | Heads:
        """Cluster each view's features, and freeze a copy of the network for the labels."""
        if self.heads is not None:
            return self.heads
        with self._autocast():
            return fit_targets(
                self.model,
                self.loader,
                views,
                self.config,
                epoch=epoch,
                count=len(self.photos),
                reporter=self.reporter,
                processes=self.processes,
                clock=self.clock,
            )

    def pass_over_images(self, views: Views, targets: Targets | Heads, epoch: int) -> EpochTotals:
        """Train for one epoch: the only pass with gradients."""
        config = self.config
        shape = (len(config.views), config.clusters)
        totals = EpochTotals(
            labels=torch.zeros(shape, dtype=torch.int64, device=self.device),
            seconds={"cluster": round(targets.seconds, 2)},
        )
        rng = numpy_generator(Stream.TRAINING_ORDER, config.seed, epoch)
        order = rng.permutation(len(self.photos)).tolist()
        self.model.train(config.batchnorm != "running")
        began = time.monotonic()
        with self.reporter.task(f"epoch {epoch + 1}/{config.epochs}", len(order)) as advance:
            for batch in self.clock.waits(self.loader(order, config.batch_size)):
                losses, labels = self.step(views, targets, batch)
                totals.add(losses, labels, len(batch.indices))
                advance(len(batch.indices), lambda: totals.note(time.monotonic() - began))
        totals.share(self.processes.sum)
        totals.seconds["train"] = round(time.monotonic() - began, 2)
        return totals

    def step(self, views: Views, targets: Targets | Heads, batch: Batch) -> tuple[Losses, Tensor]:
        """One optimiser step; returns the losses and the (V, K) counts of the pseudo-labels."""
        clock = self.clock
        optimizers = [self.optimizer]
        if isinstance(targets, Targets) and targets.optimizer is not None:
            optimizers.append(targets.optimizer)
        with clock.part("views"):
            pair = views(batch)
        with self._autocast():
            losses, counts = compute_losses(
                self.model, targets, pair, self.config, processes=self.processes, clock=clock
            )
        with clock.part("backward"):
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            losses.total.backward()
        with clock.part("optimiser"):
            for optimizer in optimizers:
                learnt = [p for group in optimizer.param_groups for p in group["params"]]
                self.processes.sum_gradients(learnt)
                optimizer.step()
        return losses, counts

    def finish(self, targets: Targets | Heads, totals: EpochTotals, epoch: int) -> None:
        """Record the epoch, then write the checkpoint.

        In this order a record may be repeated (and is then removed on resume), but never lost.
        """
        targets.keep(self.model)
        record = {"epoch": epoch} | totals.summary() | targets.record()
        if self.config.eval_split:
            record |= self._curve_values()
        self._say(epoch_line(record, self.config.epochs))
        if self.processes.main:
            self.run.append_metrics(record)
            path = self.run.checkpoint_path / _CHECKPOINT
            path.parent.mkdir(exist_ok=True)
            save_checkpoint(path, self.model, self.optimizer, self.heads, next_epoch=epoch + 1)
            self.tracking.epoch(self.model, record)
        self._count(epoch + 1)

    def result(self) -> Segmenter:
        """The final model, saved in the run folder."""
        vote, said = Vote(torch.empty(0)), ""
        if self.config.final_centroids == "clean" or not self.config.epochs:
            self._say("clustering" + " for the last time" * (self.config.epochs > 0))
            vote = self._keep_clean()
        undone = self._undo_training(vote)
        share = self._report_constant()
        if self.processes.main:
            self._say("checking the result, without labels")
            health = check_health(
                self.model,
                self.crops,
                len(self.photos),
                self.config,
                self.device,
                self.reporter,
                self.stages if self._in_float32 else None,
            )
            health["constant_images"] = share
            if undone:
                vote, health["training_undone"] = undone, 1.0
            if vote.rule:
                _LOG.info("tree of the centroids: %s", vote)
                health |= {"tree_agreement": vote.agreement, "border_contrast": vote.contrast}
            for line in health_text(health, self.model.clusters).splitlines():
                _LOG.info(line)
            said = verdict(health)
            write_atomically(self.run.health_path, json.dumps(health, indent=1).encode())
            self.tracking.result(self.model, health)
        self._report_unreadable()
        if self.processes.main:
            save_model(self.model, self.config, self.run.folder)
        self.processes.wait()
        seconds = time.monotonic() - self.began
        self._say(f"done in {seconds / 60:.1f} min: {self.run.folder}")
        self._say_lines(said)
        if self.clock.on:
            self._say_lines("where the time went:\n" + self.clock.table(seconds))
        segmenter = Segmenter(self.model, self.config)
        segmenter.run = self.run.folder
        return segmenter

    def close(self) -> None:
        """Close the image cache and the trackers."""
        self.tracking.close()
        self.stages.close()
        self.crops.close()

    def _clean_passes(self) -> list[list[int]]:
        """The images of each pass over unaugmented images, if all find the same backbone."""
        config, count = self.config, len(self.photos)
        if config.batchnorm != "running" or (config.backbone_rate and config.epochs):
            return []
        passes = [self._pca_sample()] * (config.decoder_init == "pca")
        if config.final_centroids == "clean" or not config.epochs:
            rounds = 1 + config.epochs * bool(config.eval_split)
            passes += [clean_sample(config, count)] * rounds
        if self._has_start:
            passes += [self._pca_sample(), clean_sample(config, count)]
        return passes + [health_sample(config, count)] * self._in_float32

    @property
    def _has_start(self) -> bool:
        """Whether the network without training can be had again, to be compared with the result."""
        config = self.config
        frozen = not config.backbone_rate and config.batchnorm == "running"
        clustered = config.final_centroids == "clean" and config.merge_rule == "pixels"
        return config.epochs > 0 and config.decoder_init == "pca" and frozen and clustered

    @property
    def _in_float32(self) -> bool:
        """Whether maps that were kept are as exact as those that health is measured with."""
        return network_precision(self.device, self.config.precision)[0] == "fp32"

    def _pca_sample(self) -> list[int]:
        return cluster_order(self.config, 0, len(self.photos))[: self.config.kmeans_images]

    def _start_from_pca(self) -> None:
        config, order = self.config, self._pca_sample()
        with self.reporter.task("PCA of the backbone", len(order)) as advance:
            batches = counted(self.loader, advance)(order, config.sample_batch_size)
            with self._autocast(), self.clock.part("PCA start"):
                any_image = start_decoder(self.model, batches, config, self.processes, self.stages)
            if not any_image:
                raise DataError(f"{config.data}: none of the {len(self.photos)} images can be read")

    def _keep_clean(self) -> Vote:
        with self._autocast(), self.clock.part("last clustering"):
            count, processes = len(self.photos), self.processes
            return cluster_clean_images(
                self.model, self.loader, count, self.config, self.reporter, processes, self.stages
            )

    def _undo_training(self, vote: Vote) -> Vote | None:
        """Return to the network without training if its clusters hold whole images since.

        They then tell one kind of image from another, and touch less often than before.

        Args:
            vote: of the trained network.

        Returns:
            That of the untrained network, if the model is that one now.
        """
        if not (self._has_start and vote.touching):
            return None
        self._say("comparing with the network before training")
        state = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self._start_from_pca()
        before = self._keep_clean()
        if vote.touching >= _LEAST_TOUCHING * before.touching:
            self.model.restore(state)
            return None
        self._say(
            f"training is undone: its clusters hold whole images ({vote.touching:.1%} of "
            f"neighbouring cells are in two clusters, without training {before.touching:.1%})"
        )
        return before

    def _curve_values(self) -> dict[str, Any]:
        """Scores on labelled images, for curves; the training state does not change."""
        state = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        if self.config.final_centroids == "clean":
            self._keep_clean()
        values = curve_values(self.model, self.config, self.device) if self.processes.main else {}
        self.processes.wait()
        self.model.restore(state)
        return values

    def report_failure(self, error: BaseException) -> None:
        """List the images that were skipped so far, when the run ends with an error.

        Args:
            error: if it is an interrupt, it gets a note on how to go on.
        """
        if isinstance(error, KeyboardInterrupt):
            error.add_note(self.advice)
            _LOG.info("stopped; %s", self.advice)
        self._name_unreadable(self.crops.unreadable)

    @property
    def advice(self) -> str:
        """What is kept after an interruption, and how to go on."""
        done = f"{self.finished} of {self.config.epochs} epochs are kept"
        how = ", started in the same way" * (self.processes.count > 1)
        return f"{done}; go on with: picie train --resume {shlex.quote(str(self.run.folder))}{how}"

    def _count(self, epochs: int) -> None:
        """Remember how many epochs are finished, and in the run folder."""
        self.finished = epochs
        self.processes.advise(self.advice)

    def _restore(self) -> int:
        """Restore the last checkpoint; the main process sends it to the others."""
        if not self.config.epochs:
            return 0
        path = self.run.checkpoint_path / _CHECKPOINT
        restore = partial(
            load_checkpoint,
            model=self.model,
            optimizer=self.optimizer,
            heads=self.heads,
            epochs=self.config.epochs,
        )
        if self.processes.main:
            epoch = restore(path)
            self.processes.first(path.read_bytes() if epoch and self.processes.count > 1 else b"")
            return epoch
        state = self.processes.first(b"")
        if not state:
            return 0
        with tempfile.TemporaryDirectory() as place:
            copy = Path(place) / _CHECKPOINT
            copy.write_bytes(state)
            return restore(copy)

    def _check_recorded(self, epoch: int) -> None:
        """Compare metrics.jsonl with the checkpoint; nothing has been written yet.

        Raises:
            ModelError: a damaged file, or a checkpoint is missing that existed once.
        """
        records = self.run.metrics()
        recorded = 1 + max((record.get("epoch", -1) for record in records), default=-1)
        if epoch == 0 and recorded > 1:  # the checkpoint of an epoch follows its record
            raise ModelError(
                f"{self.run.checkpoint_path / _CHECKPOINT}: is missing, although {recorded} epochs "
                "were finished; restore it, or start again: picie train --config "
                f"{shlex.quote(str(self.run.config_path))} --out "
                f"{shlex.quote(str(self.run.folder))} --overwrite"
            )
        known = {record.get("epoch") for record in records}
        if lost := epoch - len(known & set(range(epoch))):
            self._say(f"{self.run.metrics_path}: lacks {lost} of {epoch} epochs; curves will too")

    def _report_unreadable(self) -> None:
        """List the images that any process has skipped."""
        parts = self.processes.gather(self.crops.unreadable)
        self._name_unreadable({path: why for part in parts for path, why in part.items()})

    def _name_unreadable(self, broken: dict[Path | str, str]) -> None:
        if not broken or not self.processes.main:
            return
        self._say(f"skipped {len(broken)} of {len(self.photos)} images that could not be read:")
        self._enumerate(list(broken.values()))

    def _report_constant(self) -> float:
        """Name the images of one colour; returns their share of the images that were read."""
        parts = self.processes.gather(bytes(self.crops.content))
        content = np.max([np.frombuffer(part, np.uint8) for part in parts], axis=0)
        constant, read = np.flatnonzero(content == 2).tolist(), int((content > 0).sum())
        if constant and self.processes.main:
            self._say(
                f"{len(constant)} of {read} images are of (nearly) one colour and show nothing:"
            )
            self._enumerate([self.photos[index].name for index in constant])
        return len(constant) / max(read, 1)

    def _enumerate(self, lines: list[str]) -> None:
        """Show the first lines; train.log gets all."""
        self.reporter.enumerate(lines, rest=str(self.run.log_path))
        for line in lines:
            _LOG.info("  %s", line)

    def _say_lines(self, text: str) -> None:
        for line in text.splitlines():
            self._say(line)

    def _say(self, text: str) -> None:
        if self.processes.main:
            _LOG.info(text)
            self.reporter.say(text)


def _cache_folder(run: Path) -> Path:
    """Folder of the cache file; a machine without the run folder does not get one for this."""
    if run.is_dir():
        return run / "cache"
    return next(folder for folder in run.absolute().parents if folder.is_dir()) / ".picie-cache"
