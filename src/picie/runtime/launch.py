"""What a launcher of several processes says: torchrun, accelerate, Slurm, Ray."""

import os

__all__ = ["follows", "launched"]


def launched() -> tuple[int, int]:
    """The number of processes of this run, and the number of this one, from 0."""
    count, rank = (int(os.environ.get(name, "0") or 0) for name in ("WORLD_SIZE", "RANK"))
    return (count, rank) if count > 1 else (1, 0)


def follows() -> bool:
    """Whether another process writes the run folder, which this machine may lack."""
    return launched()[1] > 0
