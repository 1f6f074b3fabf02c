"""Photos of a folder spread over the processes of a Ray cluster, or of this machine.

Addresses of photos go out in blocks, and rows about them come back. Everything between, from the
file of a photo to that of its mask, is the matter of an actor: a process with a model of its own.

Ray starts an actor that was killed again, with the block that it was at. A ledger remembers what
was begun: the photos of such a block are done one by one, finished ones are not done again, and one
at which several processes were killed is given up.
"""

import json
import logging
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from tempfile import TemporaryFile
from types import ModuleType
from typing import Any, Protocol, TypeAlias

import torch

from picie import errors
from picie.data.folder import Photo
from picie.errors import ConfigError, MissingExtraError, PicieError

__all__ = ["Job", "Row", "run_with_ray"]

Row: TypeAlias = dict[str, Any]
"""What became of a photo: its name as `image`, `problem` ("" = none), and other JSON values."""

_Do: TypeAlias = Callable[[Sequence[Photo]], list[Row]]
_Batch: TypeAlias = dict[str, Any]  # a sequence for each column

_COLUMNS = ("file", "name", "page", "stamp")  # of a photo, which are sent
_LARGEST = 64  # photos in a block, whose rows come back together
_PER_WORKER = 16  # blocks, so that all workers end at about the same time
_ATTEMPTS = 3  # with a photo: in its block, then twice alone
_FREE_DEATHS = 32
_BLOCKS_PER_DEATH = 10
_CROWDED = {"OMP_WAIT_POLICY": "passive"}  # threads that wait leave their core to others


class Job(Protocol):
    """What an actor does; plain data, because each of them is sent a copy."""

    def opened(self, files: Mapping[str, bytes], device: str) -> AbstractContextManager[_Do]:
        """Load the model; within the block, the function does some photos and gives a row for each.

        Args:
            files: of the model, by name.
            device: "cuda" for an actor with a GPU of its own, else "cpu".
        """
        ...


@dataclass(frozen=True)
class _Pool:
    """How many actors there are, and what each of them reserves.

    Attributes:
        most: of them; fewer while the cluster has less room.
        first: what there is room for now.
        cores: of each.
        gpus: of each, 0 or 1.
    """

    most: int
    first: int
    cores: int
    gpus: int


def run_with_ray(
    job: Job,
    files: Mapping[str, bytes],
    photos: Sequence[Photo],
    *,
    advance: Callable[[Row], None],
    workers: int = -1,
    cores: int | None = None,
    gpu: bool | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Do a job with each photo, in actors on Ray.

    An instance of Ray in this process is used, else the cluster at RAY_ADDRESS, else one that runs
    on this machine. Without any, or at RAY_ADDRESS=local, this machine is its own cluster until
    the call ends.

    Args:
        job: what to do.
        files: of the model; they are sent to each machine once.
        photos: with different names, at addresses that all machines of the cluster can read.
        advance: called with a row for each photo, in any order. A photo at which 3 processes were
            killed has a problem that says so.
        workers: maximum number of actors; -1 = one for each GPU of the cluster, else one for each
            `cores` cores. With a number, a cluster that grows on demand is asked for room.
        cores: that an actor reserves; None = 1 beside a GPU, else as many as this process computes
            with, or fewer for the number of workers. The threads of an actor are always as many as
            those of this process: then masks have the same bytes.
        gpu: whether each actor has a GPU; None = if the cluster has one.
        say: shows a line.

    Raises:
        ConfigError: an impossible number or address.
        MissingExtraError: Ray is not installed.
        PicieError: there is no connection to Ray, too many processes were killed, or what the job
            raised.
    """
    ray = _imported()
    with _quiet(), _connected(ray):
        pool = _pool(ray, workers, cores, gpu, say)
        ledger = _new_ledger(ray)
        setup = (job, ray.put(dict(files)), ledger, torch.get_num_threads(), pool.gpus)
        left = bytearray(b"\1") * len(photos)
        with _explained(ray):
            for index, text in _rows(ray, setup, photos, pool):
                if index < 0:
                    raise _as_error(**json.loads(text))
                if left[index]:
                    left[index] = 0
                    advance(json.loads(text))


def _rows(
    ray: ModuleType, setup: tuple[Any, ...], photos: Sequence[Photo], pool: _Pool
) -> Iterator[tuple[int, str]]:
    """Index of a photo and its row as JSON, as they come; -1 and what went wrong for a failure."""
    size = max(1, min(_LARGEST, len(photos) // (pool.most * _PER_WORKER)))
    blocks = math.ceil(len(photos) / size)
    most = min(pool.most, blocks)
    addresses = ray.data.from_items(_Addresses(photos), override_num_blocks=blocks)
    addresses.context.enable_progress_bars = False
    addresses.context.print_on_execution_start = False
    # Where each thread has a core, to wait like this would take half of the speed.
    waiting = _CROWDED if pool.cores < torch.get_num_threads() and not pool.gpus else {}
    actors = ray.data.ActorPoolStrategy(
        min_size=1, max_size=most, initial_size=min(most, pool.first)
    )
    rows = addresses.map_batches(
        _Actor, fn_constructor_args=setup, batch_size=None, batch_format="numpy", compute=actors,
        num_cpus=pool.cores, num_gpus=pool.gpus, runtime_env={"env_vars": waiting},
    )  # fmt: skip
    for batch in rows.iter_batches(batch_size=None, batch_format="numpy", prefetch_batches=0):
        yield from zip(batch["index"].tolist(), batch["row"].tolist(), strict=True)


class _Addresses(Sequence[Row]):
    """Photos as rows of Ray, which are made when they are asked for."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos = photos

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: Any) -> Any:
        photo = self._photos[index]
        return {"index": index} | {key: getattr(photo, key) for key in _COLUMNS}


class _Ledger:
    """What actors have begun and not ended; it outlives them."""

    def __init__(self) -> None:
        self._begun: dict[int, dict[str, int | Row]] = {}
        self._ended = self._deaths = 0

    def begin(self, block: int) -> dict[str, int | Row] | None:
        """Enter a block; for one whose process was killed, what is known of its photos.

        By name: the row of a photo that was done, or how often it was begun alone.

        Raises:
            PicieError: processes are killed all the time.
        """
        if block not in self._begun:
            self._begun[block] = {}
            return None
        self._deaths += 1
        if self._deaths > _FREE_DEATHS + self._ended // _BLOCKS_PER_DEATH:
            raise PicieError(
                f"{self._deaths} processes were killed, and {self._ended} blocks of photos done; "
                "see whether they need more memory, and give the same command again to go on"
            )
        return self._begun[block]

    def note(self, block: int, name: str, known: int | Row) -> None:
        """Enter what is known of a photo."""
        self._begun[block][name] = known

    def end(self, block: int) -> None:
        """Forget a block whose rows are ready."""
        self._begun.pop(block, None)
        self._ended += 1


def _new_ledger(ray: ModuleType) -> Any:
    """A ledger beside this process: without the one, the other is of no use."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    return ray.remote(_Ledger).options(num_cpus=0, scheduling_strategy=here).remote()


class _Actor:
    """Does the photos of one block after the other.

    The model is loaded with the first block: a process that is killed before it has begun one
    would be started again for ever.

    Args:
        job: what to do.
        files: of the model, in the object store.
        ledger: of what was begun.
        threads: that torch computes with, since sums depend on it.
        gpus: that this actor has, 0 or 1.
    """

    def __init__(self, job: Job, files: Any, ledger: Any, threads: int, gpus: int) -> None:
        self._job, self._files, self._ledger = job, files, ledger
        self._threads, self._device = threads, "cuda" if gpus else "cpu"
        self._stack = ExitStack()
        self._do: _Do | None = None

    def __call__(self, batch: _Batch) -> _Batch:
        """Indices and rows of the photos of a block; -1 and an error instead of all of them."""
        try:
            columns = (batch[key].tolist() for key in (*_COLUMNS, "index"))
            photos = {
                Photo(file, name, None, page, stamp): index
                for file, name, page, stamp, index in zip(*columns, strict=True)
            }
            rows = self._block(min(photos.values()), list(photos))
            index = {photo.name: index for photo, index in photos.items()}
            pairs = [(index[row["image"]], json.dumps(row)) for row in rows]
        except (Exception, SystemExit) as error:
            pairs = [(-1, json.dumps(_described(error)))]
        return {"index": [index for index, _ in pairs], "row": [row for _, row in pairs]}

    def __del__(self) -> None:
        self._stack.close()

    def _block(self, block: int, photos: Sequence[Photo]) -> list[Row]:
        ray = _imported()
        known = ray.get(self._ledger.begin.remote(block))
        if self._do is None:
            torch.set_num_threads(self._threads)
            job = self._job.opened(ray.get(self._files), self._device)
            self._do = self._stack.enter_context(job)
        if known is None:
            rows = self._do(photos)
        else:
            rows = [
                self._alone(self._do, block, photo, known.get(photo.name, 0)) for photo in photos
            ]
        ray.get(self._ledger.end.remote(block))
        return rows

    def _alone(self, do: _Do, block: int, photo: Photo, known: int | Row) -> Row:
        """The row of a photo of a block whose process was killed."""
        if not isinstance(known, int):
            return known
        if known == _ATTEMPTS - 1:
            problem = f"{photo.file}: the process that read it was killed ({_ATTEMPTS} attempts)"
            return {"image": photo.name, "problem": problem}
        ray = _imported()
        ray.get(self._ledger.note.remote(block, photo.name, known + 1))
        row = do([photo])[0]
        ray.get(self._ledger.note.remote(block, photo.name, row))
        return row


def _described(error: BaseException) -> dict[str, str]:
    """An error, to raise it elsewhere."""
    cause = getattr(error, "cause", error)  # of one that was raised in the ledger
    trace = "".join(traceback.format_exception(error))
    return {"kind": type(cause).__name__, "text": str(cause), "trace": trace}


@contextmanager
def _explained(ray: ModuleType) -> Iterator[None]:
    """Within the block, failures of Ray itself are errors that are raised on purpose."""
    try:
        yield
    except ray.exceptions.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise PicieError(
            f"Ray ended too early ({lines[-1] if lines else type(error).__name__}); all machines "
            "need one version of picie and of Ray; the same command goes on from here"
        ) from None


def _as_error(kind: str, text: str, trace: str) -> Exception:
    known = getattr(errors, kind, None)
    if isinstance(known, type) and issubclass(known, PicieError):
        return known(text)
    return RuntimeError(f"an actor of Ray failed:\n{trace}")


def _pool(
    ray: ModuleType, workers: int, cores: int | None, gpu: bool | None, say: Callable[[str], None]
) -> _Pool:
    if workers < -1 or workers == 0:
        raise ConfigError(
            f"workers {workers}: give 1 or more, or -1 for as many as the cluster has room for"
        )
    if cores is not None and cores < 1:
        raise ConfigError(f"cores {cores}: give 1 or more for each worker")
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    have = [(int(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in machines]
    if gpu is None:
        gpu = any(gpus for _, gpus in have)
    if cores is None:
        share = sum(cpus for cpus, _ in have) // max(workers, 1)
        largest = max((cpus for cpus, _ in have), default=0)
        cores = max(1, min(1 if gpu else torch.get_num_threads(), share, largest))
    room = sum(min(cpus // cores, gpus if gpu else cpus) for cpus, gpus in have)
    if not room:
        needed = f"{cores} core{'s' * (cores > 1)}" + " and a GPU" * gpu
        say(f"no machine of Ray has {needed}, which a worker needs; waiting for one")
    most = max(1, room) if workers < 0 else workers
    return _Pool(most, max(1, min(most, room)), cores, int(gpu))


def _imported() -> ModuleType:
    """Ray, with its parts.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import ray.data
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MissingExtraError(
            f'--engine ray needs ray (no {error.name}): pip install "picie[ray]"'
        ) from None
    return ray


@contextmanager
def _connected(ray: ModuleType) -> Iterator[None]:
    """Within the block, there is a connection; what this call began ends with it."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS", "")
    if address.startswith("ray://"):
        raise ConfigError(
            f"RAY_ADDRESS={address}: give the address of the cluster as its machines know it, and "
            "run picie on one of them (ray job submit)"
        )
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    with _environment(), _own_signals(), _without_lines("RAY_BACKEND_LOG_LEVEL"):
        try:
            ray.init(include_dashboard=False, **quiet)
        except Exception as error:
            where = f"at RAY_ADDRESS={address}" if address else "on this machine"
            raise PicieError(f"Ray cannot be used {where}: {error}") from None
    try:
        yield
    finally:
        with redirect_stdout(StringIO()):  # the last words on killed processes
            ray.shutdown()


@contextmanager
def _environment() -> Iterator[None]:
    """Within the block, processes that start keep statistics to themselves, and say little."""
    before = dict(os.environ)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        yield
    finally:
        for key in os.environ.keys() - before.keys():
            del os.environ[key]
        os.environ |= before


@contextmanager
def _without_lines(word: str) -> Iterator[None]:
    """Show what the block writes on standard error after it, apart from lines with a word."""
    with TemporaryFile() as file:
        before = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            os.write(2, b"".join(line for line in file if word.encode() not in line))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Give SIGTERM back to who had it before the block."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


class _Others:
    """Standard output for all threads but those of Ray."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write it, or not."""
        ours = not threading.current_thread().name.startswith("ray_")
        return int(self._stream.write(text)) if ours else len(text)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within the block, Ray Data says nothing, and Ray nothing of killed processes."""
    shown = [
        (handler, handler.level)
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    for handler, _ in shown:
        handler.setLevel(logging.CRITICAL + 1)
    try:
        with redirect_stdout(_Others(sys.stdout)):
            yield
    finally:
        for handler, level in shown:
            handler.setLevel(level)
