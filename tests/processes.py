"""What processes do that tests start: command lines, programs, and what two find together.

The fixture `start` starts them, and `pair` keeps what two of them found.
"""

import json
import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from picie.cli.app import main
from picie.clustering.kmeans.kmeans import KMeans
from picie.data.cache import Crop
from picie.data.crop_loader import BaseCrops
from picie.runtime.distributed import Processes, join_processes, leave_processes
from picie.training.loop import train
from picie.training.targets import Heads, Targets
from picie.training.trainer import Trainer
from picie.views.pair import Views


def command_line(args: list[str]) -> None:
    """Run `picie` with one thread, as tests do."""
    torch.set_num_threads(1)
    main(args)


def gated_command_line(args: list[str], image: str, wanted: Semaphore, permits: Semaphore) -> None:
    """Run `picie`; reading the image waits each time for a permit."""
    read = BaseCrops.read

    def gated(crops: BaseCrops, index: int, crop: Crop) -> str:
        if crops.photos[index].file == image:
            wanted.release()
            permits.acquire()
        return read(crops, index, crop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseCrops, "read", gated)
        command_line(args)


def program(text: str, out: Path) -> None:
    """Run a program, and keep what it says in a file."""
    with out.open("w") as file, redirect_stdout(file), redirect_stderr(file):
        exec(compile(text, "program.py", "exec"), {"__name__": "__main__"})


def launch_two(folder: Path) -> None:
    """Let two processes answer all questions, started as `torchrun --nproc-per-node=2` does."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id="tests",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        start_method="fork",
        monitor_interval=0.1,
    )
    elastic_launch(config, answer)(str(folder))


def launch_node(
    port: int, host: bool, count: int, place: str, args: list[str], ends: dict[int, int]
) -> None:
    """One of two nodes, as `torchrun --nnodes=2` starts it, which run `picie` in a folder.

    The processes meet at the node that is the host. What they say is in said.txt in the folder.
    `ends` has signals by rank, which processes send to themselves when the second epoch begins.
    """
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=2,
        max_nodes=2,
        nproc_per_node=count,
        run_id="nodes",
        rdzv_backend="c10d",
        rdzv_endpoint=f"localhost:{port}",
        rdzv_configs={"is_host": host},
        start_method="fork",
        monitor_interval=0.1,
        max_restarts=0,
    )
    Path(place).mkdir(exist_ok=True)
    elastic_launch(config, command_line_in)(place, args, ends)


def command_line_in(place: str, args: list[str], ends: dict[int, int]) -> None:
    """What a process of a node does."""
    os.chdir(place)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not as in the launcher, which it is forked from
    fit_targets, rank = Trainer.fit_targets, int(os.environ["RANK"])

    def last(trainer: Trainer, views: Views, epoch: int) -> Targets | Heads:
        if epoch == 1 and rank in ends:
            os.kill(os.getpid(), ends[rank])
        return fit_targets(trainer, views, epoch)

    told = Path("said.txt").open("a")  # noqa: SIM115
    with told, redirect_stderr(told), pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "fit_targets", last)
        patch.setattr("sys.argv", ["picie", *args])
        torch.set_num_threads(1)
        main()


def answer(place: str) -> None:
    """What one of the two does. What it finds lies in the folder, for the tests to read."""
    torch.set_num_threads(1)
    folder = Path(place)
    with join_processes("cpu") as here:
        torch.save(sums(here), folder / f"sums{here.rank}.pt")
        torch.save(centres(here, folder), folder / f"centres{here.rank}.pt")
    jobs = json.loads((folder / "jobs.json").read_text())
    for out, values in jobs["trainings"].items():
        train(out=folder / out, **values)
    main(["train", *jobs["command"]])
    assert not torch.distributed.is_initialized()
    leave_processes()  # once more, which must not matter


def sums(here: Processes) -> dict[str, Any]:
    """What `Processes` gives, from numbers that differ between them."""
    mine = torch.tensor(3.0 + here.rank)
    found = {
        "main": here.main,
        "device": here.device,
        "share": here.share([5, 6, 7, 8, 9]),
        "sum": here.sum(torch.tensor([1.0, 10.0 * here.rank])),
        "sum of one": here.sum(mine),
        "mine": mine,
        "gathered": here.gather({"rank": here.rank}),
    }
    x = torch.tensor(1.0 + here.rank, requires_grad=True)
    here.differentiable_sum(x).square().backward()
    found["gradient of a square"] = x.grad

    weight = torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
    unused = torch.zeros(4, requires_grad=True)
    if here.main:  # the other has no image, and no gradient
        (weight * torch.arange(24.0).view(2, 3, 2, 2)).sum().backward()
    here.sum_gradients([weight, unused])
    assert weight.grad is not None
    found["gradient"], found["gradient of nothing"] = weight.grad, unused.grad
    found["strides"] = weight.grad.stride(), weight.stride()
    here.wait()
    return found


def centres(here: Processes, folder: Path) -> Tensor:
    """K-means of the points in points.pt, of which each process has its rows."""
    points, rows = torch.load(folder / "points.pt")
    own = rows[here.rank]
    return KMeans(8, reduce=here.sum).fit(points[own], rows=own).cluster_centers_
