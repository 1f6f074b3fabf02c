"""Shapes, speed and memory of backbones with random weights; says nothing about their quality.

    python benchmarks/backbones.py                      # the networks of backbones.toml
    python benchmarks/backbones.py resnet18.tv_in1k vit_small_patch8_224.dino

Each network computes the features of one image at the size that its name implies, on one core, in
turn with the default backbone; its time is the ratio of the median CPU times. Memory is the peak of
a process that does nothing else. Needs no network access. Prints one row of a table per network.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from picie.benchmark.suite import read_suite
from picie.config import DEFAULT_BACKBONE, make_config
from picie.models.folding import folded
from picie.models.picie import PiCIE

_ROUNDS = 5
_KB = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss


def build(name: str) -> tuple[PiCIE, Tensor]:
    """The network as prediction uses it, and an image of its size."""
    config = make_config(backbone=name)
    model = PiCIE(name, config.feature_size, pretrained=False, layers=config.backbone_layers)
    return folded(model.eval()), torch.rand(1, 3, config.size, config.size)


@torch.no_grad()
def seconds(model: PiCIE, image: Tensor) -> float:
    began = time.process_time()
    model(image)
    return time.process_time() - began


def peak(name: str) -> str:
    """MB of a process that inherits the peak of this one, which has no network yet."""
    command = [sys.executable, __file__, name, "--memory"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def row(name: str, usual: tuple[PiCIE, Tensor]) -> list[str]:
    model, image = build(name)
    pairs = [(seconds(*usual), seconds(model, image)) for _ in range(_ROUNDS + 1)][1:]
    reference, own = (statistics.median(column) for column in zip(*pairs, strict=True))
    with torch.no_grad():
        maps = [f"{m.shape[1]} x {m.shape[2]}²" for m in model.backbone(image)]
    millions = sum(one.numel() for one in model.backbone.parameters()) / 1e6
    size = str(image.shape[-1])
    return [f"`{name}`", f"{millions:.1f} M", size, ", ".join(maps), f"{own / reference:.1f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="timm names")
    parser.add_argument("--memory", action="store_true", help="only print the peak in MB")
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = args.names or read_suite(Path(__file__).with_suffix(".toml")).grid.backbones
    if args.memory:
        seconds(*build(names[0]))
        print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KB / 1e6))
        return
    peaks = {name: peak(name) for name in names}
    print("| network | parameters | size | maps | time | peak MB |\n|---|--:|--:|---|--:|--:|")
    usual = build(DEFAULT_BACKBONE)
    for name in names:
        print(f"| {' | '.join([*row(name, usual), peaks[name]])} |", flush=True)


if __name__ == "__main__":
    main()
