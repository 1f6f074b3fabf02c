"""Training: pictures, views, clusters, pseudo-labels, loss, model."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from picie import __version__
from picie.centroids import cluster_order, counted, fit_clean_centroids, keep_centroids
from picie.checkpoints import load_checkpoint, save_checkpoint
from picie.config import Config, make_config
from picie.data.folder import Photo, open_folder
from picie.data.loading import open_crops
from picie.decoder_start import start_decoder
from picie.devices import choose_device, keep_freed_memory
from picie.errors import ConfigError, DataError
from picie.evaluation import evaluate, picture_loader
from picie.history import EpochTotals, epoch_line
from picie.inference import Segmenter
from picie.models.picie import PiCIE
from picie.progress import Reporter
from picie.runs import Run
from picie.steps import compute_losses
from picie.storage import save_model
from picie.targets import Targets, fit_targets
from picie.types import Batch, Losses
from picie.views.pair import Views

__all__ = ["resume", "train"]

_LOG = logging.getLogger("picie")
_SHUFFLE = 4  # tag of the training order's random numbers, apart from those in `centroids`
_CHECKPOINT = "state.safetensors"


def train(
    data: str | Path,
    out: str | Path,
    *,
    split: str = "",
    preset: str = "default",
    overwrite: bool = False,
    quiet: bool = True,
    config: Config | None = None,
    **settings: Any,
) -> Segmenter:
    """Learn to segment a folder of pictures, without labels.

    Args:
        data: any folder of pictures (searched recursively; `images/` inside it if there is one).
        out: the run folder to make.
        split: list file inside `data`, by stem: `train` reads train.txt.
        preset: `default`, `reference` or `paper`.
        overwrite: replace a run that is already there.
        quiet: show no progress.
        config: all settings at once, instead of a preset and single ones.
        **settings: fields of `picie.config.Config`, such as `clusters=11`.

    Returns:
        the trained model; it is also saved in `out`.

    Raises:
        DataError: no readable picture, or fewer pixels than clusters.
        ConfigError: unknown or impossible settings, or a run that is already there.

    Example:
        >>> model = picie.train("photos/", "runs/first", clusters=8)  # doctest: +SKIP
    """
    place = {"data": str(Path(data).resolve()), "split": split}
    if config is None:
        config = make_config(preset, **settings, **place)
    elif settings:
        raise ConfigError(f"give either a config or {', '.join(settings)}, not both")
    else:
        config = config.model_copy(update=place)
    # What can be refused must be refused before there is a run.
    photos = open_folder(config.data, config.split).photos
    choose_device(config.device)
    network = _network(config)
    run = Run.create(Path(out), config, version=__version__, overwrite=overwrite)
    return _train(_Trainer(run, config, network, photos, Reporter(quiet=quiet)))


def resume(
    out: str | Path, *, quiet: bool = True, device: str = "", workers: int | None = None
) -> Segmenter:
    """Go on with a run that was cut off; the result is that of an unbroken run.

    Args:
        out: the run folder.
        quiet: show no progress.
        device: another device than before.
        workers: another number of loader processes than before.

    Raises:
        ModelError: not a run folder, or its checkpoint is broken.
    """
    run = Run.open(Path(out))
    machine: dict[str, Any] = {"device": device} if device else {}
    if workers is not None:
        machine["workers"] = workers
    config = run.config.model_copy(update=machine)
    photos = open_folder(config.data, config.split).photos
    return _train(_Trainer(run, config, _network(config), photos, Reporter(quiet=quiet)))


def _train(trainer: "_Trainer") -> Segmenter:
    keep_freed_memory()
    config = trainer.config
    with torch.random.fork_rng(), trainer.run.log_to_file():
        try:
            for epoch in range(trainer.start(), config.epochs):
                torch.manual_seed(config.seed + epoch)  # for backbones that have dropout
                views = Views(config, epoch, trainer.feature_size)
                targets = trainer.fit_targets(views, epoch)
                totals = trainer.pass_over_pictures(views, targets, epoch)
                trainer.finish(targets, totals, epoch)
            return trainer.result()
        finally:
            trainer.crops.close()
            trainer.report_unreadable()


class _Trainer:
    """State of one training; the method is in `fit_targets` and `step`."""

    def __init__(
        self,
        run: Run,
        config: Config,
        network: PiCIE,
        photos: Sequence[Photo],
        reporter: Reporter,
    ) -> None:
        self.run, self.config, self.reporter = run, config, reporter
        self.device = choose_device(config.device)
        self.model = network.to(self.device).to(memory_format=torch.channels_last)
        trains_backbone = config.backbone_rate > 0
        self.model.backbone.requires_grad_(trains_backbone)
        groups = [{"params": list(self.model.decoder.parameters()), "lr": config.learning_rate}]
        if trains_backbone:
            rate = config.learning_rate * config.backbone_rate
            groups.append({"params": list(self.model.backbone.parameters()), "lr": rate})
        self.optimizer = torch.optim.Adam(groups)
        self.photos = photos
        self.crops = open_crops(self.photos, config, run.folder / "cache")
        self.loader = picture_loader(self.crops, config, self.device)
        self.feature_size = -(-config.size // self.model.stride)
        self.began = time.monotonic()

    def start(self) -> int:
        """Restore the last checkpoint, or make the decoder's start; the epoch to begin with."""
        epoch = load_checkpoint(self.run.checkpoint_path / _CHECKPOINT, self.model, self.optimizer)
        self.run.truncate_metrics(epoch)
        if epoch:
            done = f"{epoch} of {self.config.epochs} epochs are done"
            self._say(f"resuming {self.run.folder}: {done}")
            return epoch
        self._say(
            f"{len(self.photos)} pictures, {self.config.clusters} clusters, "
            f"{self.config.backbone} on {self.device}"
        )
        if self.config.decoder_init == "pca":
            self._start_from_pca()
        return 0

    def fit_targets(self, views: Views, epoch: int) -> Targets:
        """Cluster each view's features, and freeze a copy of the network to label with."""
        return fit_targets(
            self.model,
            self.loader,
            views,
            self.config,
            epoch=epoch,
            count=len(self.photos),
            reporter=self.reporter,
        )

    def pass_over_pictures(self, views: Views, targets: Targets, epoch: int) -> EpochTotals:
        """The only pass with gradients."""
        config = self.config
        totals = EpochTotals(
            losses=torch.zeros(3, device=self.device),
            labels=torch.zeros(2, config.clusters, dtype=torch.int64, device=self.device),
            seconds={"cluster": round(targets.seconds, 2)},
        )
        rng = np.random.default_rng((config.seed, epoch, _SHUFFLE))
        order = rng.permutation(len(self.photos)).tolist()
        self.model.train(config.batchnorm == "batch")
        began = time.monotonic()
        with self.reporter.task(f"epoch {epoch + 1}/{config.epochs}", len(order)) as advance:
            for batch in self.loader(order, config.batch_size):
                losses, labels = self.step(views, targets, batch)
                totals.add(losses, labels, len(batch.indices))
                advance(len(batch.indices), totals.note(time.monotonic() - began))
        totals.seconds["train"] = round(time.monotonic() - began, 2)
        return totals

    def step(self, views: Views, targets: Targets, batch: Batch) -> tuple[Losses, Tensor]:
        """One optimiser step; also the (2, K) counts of the pseudo-labels."""
        losses, counts = compute_losses(self.model, targets, views(batch), self.config)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.optimizer.step()
        return losses, counts

    def finish(self, targets: Targets, totals: EpochTotals, epoch: int) -> None:
        """Record the epoch, then write the checkpoint.

        In this order a record may be written twice (and is then cut), but none is ever lost.
        """
        keep_centroids(self.model, *targets.fits)
        record = {"epoch": epoch} | totals.summary()
        record["kmeans_objective"] = [fit.objective for fit in targets.fits]
        if self.config.eval_split:
            record |= self._scores()
        self.run.append_metrics(record)
        self._say(epoch_line(record, self.config.epochs))
        folder = self.run.checkpoint_path
        folder.mkdir(exist_ok=True)
        save_checkpoint(folder / _CHECKPOINT, self.model, self.optimizer, next_epoch=epoch + 1)

    def result(self) -> Segmenter:
        """The model as it is shipped, saved in the run folder."""
        if self.config.final_centroids == "clean" or not self.config.epochs:
            self._keep_clean()
        save_model(self.model, self.config, self.run.folder)
        minutes = (time.monotonic() - self.began) / 60
        self._say(f"done in {minutes:.1f} min: {self.run.folder}")
        return Segmenter(self.model, self.config)

    def _start_from_pca(self) -> None:
        config = self.config
        order = cluster_order(config, 0, len(self.photos))[: config.kmeans_images]
        with self.reporter.task("PCA of the backbone", len(order)) as advance:
            batches = counted(self.loader, advance)(order, config.sample_batch_size)
            if not start_decoder(self.model, batches, config):
                raise DataError(
                    f"{config.data}: none of the {len(self.photos)} pictures can be read"
                )

    def _keep_clean(self) -> None:
        count, config = len(self.photos), self.config
        with self.reporter.task("clustering", min(count, config.kmeans_images)) as advance:
            loader = counted(self.loader, advance)
            fit = fit_clean_centroids(self.model, loader, count, config)
        keep_centroids(self.model, fit)

    def _scores(self) -> dict[str, Any]:
        """Scores on labelled pictures, for curves; the training state is left as it was."""
        config = self.config
        state = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        if config.final_centroids == "clean":
            self._keep_clean()
        found = evaluate(
            Segmenter(self.model, config),
            config.data,
            split=config.eval_split,
            size=config.eval_size,
        )
        values: dict[str, Any] = {"accuracy": found.scores.accuracy, "miou": found.scores.miou}
        for number, other in enumerate(found.other_views, 2):
            values |= {f"accuracy_view{number}": other.accuracy, f"miou_view{number}": other.miou}
        self.model.restore(state)
        return values

    def report_unreadable(self) -> None:
        """Name the pictures that were left out, also when the run ends with an error."""
        broken = self.crops.unreadable
        if broken:
            self._say(f"{len(broken)} of {len(self.photos)} pictures could not be read, left out:")
        for reason in broken.values():
            self._say(f"  {reason}")

    def _say(self, text: str) -> None:
        _LOG.info(text)
        self.reporter.say(text)


def _network(config: Config) -> PiCIE:
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # the decoder's random start
        return PiCIE(config.backbone, config.feature_size, pretrained=config.pretrained)
