"""Measure which node of the tree a person is best asked to split next.

    python benchmarks/questions.py DATA ... --out runs/questions

Each DATA is a folder with images/, masks/, classes.txt, train.txt and val.txt. For each of them and
each seed, a model is trained with `epochs=0` in OUT (or taken from there). The person's names
are those of the masks of train; masks are scored on val, on cells of the feature map.

A person names the 24 nodes of the first cut by the majority class, then splits one after the
other; the table shows mIoU by number of names, for each order.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

import picie
from picie.clustering.affinities import count_contacts, neighbour_contrasts, relative_contacts
from picie.clustering.pseudo_labels import nearest
from picie.clustering.tree import cut_tree, node_members
from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import read_square, square_crop_mask
from picie.inference.segmenter import Segmenter

NAMES = (24, 28, 32, 40, 48, 64)
SIZE = 320  # pixels of a square image
SIDE = 40  # cells of its sides ; features have twice as many
VOID = 255


@dataclass
class Cells:
    """Cells of some images: unit features (I, SIDE, SIDE, D), classes and leaves."""

    features: torch.Tensor
    classes: np.ndarray
    leaves: np.ndarray
    counts: np.ndarray  # (P, L) cells of each leaf and class
    contacts: torch.Tensor  # (2, P, P)
    rows: np.ndarray  # (P, 10) cells by height in the image


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    nodes: dict[str, list[list[float]]] = {}
    for data in args.data:
        for seed in range(args.seeds):
            model = load_model(data, seed, args.out / f"{data.name}_{seed}")
            train, val = (
                load_cells(model, data, *split) for split in (("train", 150), ("val", 100))
            )
            for order, rule in ORDERS.items():
                scores = _split(model, train, val, rule)
                nodes.setdefault(order, []).append(scores)
                print(data.name, seed, order, *(f"{score:.1f}" for score in scores), flush=True)
    _table("mIoU by names", NAMES, nodes)


# --- data


def load_model(data: Path, seed: int, out: Path) -> Segmenter:
    if not (out / "model.safetensors").exists():
        picie.train(data, out, split="train", epochs=0, seed=seed)
    return picie.load(out, named=False)


def load_cells(model: Segmenter, data: Path, split: str, most: int) -> Cells:
    folder: PhotoFolder = open_folder(data, split)
    chosen = np.linspace(0, len(folder) - 1, min(most, len(folder))).round().astype(int)
    centroids = model.network.view_centroids(0)[0]
    count, kinds = len(centroids), len(folder.classes)
    features, classes, leaves = [], [], []
    counts, rows = np.zeros((count, kinds)), np.zeros((count, 10))
    contacts = torch.zeros(2, count, count, dtype=torch.float64)
    for index in chosen:
        photo = folder.photos[index]
        image = read_square(photo.path, SIZE)
        maps = model.features(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
        maps = F.normalize(maps, dim=1)
        side = maps.shape[2]
        leaf = nearest(maps[0].flatten(1).T, centroids, "cosine").view(side, side)
        with Image.open(photo.path) as opened:
            truth = square_crop_mask(folder.truth(photo, image_size=opened.size), SIZE)
        step = SIZE // side
        kind = truth[step // 2 :: step, step // 2 :: step].astype(np.int64)
        known = kind != VOID
        np.add.at(counts, (leaf.numpy()[known], kind[known]), 1)
        np.add.at(rows, (leaf.numpy(), (np.arange(side) * 10 // side)[:, None]), 1)
        contacts += count_contacts(leaf[None], [neighbour_contrasts(maps)], count)
        every = side // SIDE
        features.append(maps[0, :, ::every, ::every].permute(1, 2, 0).half())
        classes.append(kind[::every, ::every])
        leaves.append(leaf.numpy()[::every, ::every])
    return Cells(torch.stack(features), np.stack(classes), np.stack(leaves), counts, contacts, rows)


# --- nodes


class Nodes:
    """The tree and what is known of its 2 P - 1 nodes."""

    def __init__(self, model: Segmenter, train: Cells) -> None:
        self.tree = model.network.trees[0]
        members = node_members(model.network.centroid_set())
        self.leaves = (len(members) + 1) // 2
        self.below = np.zeros((len(members), self.leaves))  # (nodes, P): whether below it
        for node, leaves in enumerate(members):
            self.below[node, list(leaves)] = 1
        self.children = [(0, 0)] * self.leaves + [(int(a), int(b)) for a, b, _ in self.tree]
        self.height = np.concatenate([np.zeros(self.leaves), self.tree[:, 2].numpy()])
        self.size = self.below @ train.rows.sum(1) / train.rows.sum()
        self.unit = F.normalize(model.network.view_centroids(0)[0], dim=1).numpy()
        self.mean = self.below @ (self.unit * train.rows.sum(1, keepdims=True))
        self.mean /= np.linalg.norm(self.mean, axis=1, keepdims=True).clip(1e-12)
        self.contacts = relative_contacts(train.contacts).numpy()
        self.layout = self.below @ train.rows
        self.layout /= self.layout.sum(1, keepdims=True).clip(1)
        self.names = (self.below @ train.counts).argmax(1)
        self.counts = train.counts

    def start(self, count: int) -> list[int]:
        """The nodes of a cut."""
        groups = cut_tree(self.tree, count).numpy()
        cut = {tuple(np.flatnonzero(groups == group)) for group in range(count)}
        return [node for node, one in enumerate(self.below) if tuple(np.flatnonzero(one)) in cut]


Rule = Callable[[Nodes, int, list[int]], float]
"""How urgent it is to split a node, among the current ones."""


def _distance(nodes: Nodes, node: int, _: list[int]) -> float:
    left, right = nodes.children[node]
    return float(np.linalg.norm(nodes.mean[left] - nodes.mean[right]))


def _ward(nodes: Nodes, node: int, now: list[int]) -> float:
    left, right = (nodes.size[child] for child in nodes.children[node])
    return float(left * right / (left + right + 1e-12)) * _distance(nodes, node, now) ** 2


def _contrast(nodes: Nodes, node: int, _: list[int]) -> float:
    left, right = (nodes.below[child] for child in nodes.children[node])
    count, contrast = left @ nodes.contacts @ right
    return float((contrast + 20) / (count + 20))


def _layout(nodes: Nodes, node: int, _: list[int]) -> float:
    left, right = (np.sqrt(nodes.layout[child]) for child in nodes.children[node])
    return float(nodes.height[node] * (1.1 - left @ right))


def _answers(nodes: Nodes, node: int, now: list[int]) -> float:
    """How differently the names of other nodes, weighted by likeness, fit the two children."""
    votes = []
    for child in nodes.children[node]:
        mine = nodes.below[child] > 0
        vote = np.zeros(nodes.counts.shape[1])
        for other in set(now) - {node}:
            likeness = nodes.unit[mine] @ nodes.unit[nodes.below[other] > 0].T
            vote[nodes.names[other]] += np.exp((likeness.max() - 1) / 0.1)
        votes.append(np.sqrt(vote / vote.sum().clip(1e-12)))
    return float((1.02 - votes[0] @ votes[1]) * nodes.size[node] ** 0.25)


def _labels(nodes: Nodes, node: int, now: list[int]) -> float:
    """The gain of mIoU on train: what an order without labels can hope for."""
    after = [one for one in now if one != node] + list(nodes.children[node])
    return _score(nodes, after, nodes.counts) - _score(nodes, now, nodes.counts)


ORDERS: dict[str, Rule] = {
    "tree": lambda nodes, node, now: float(nodes.height[node]),
    "size": lambda nodes, node, now: float(nodes.size[node]),
    "tree x size^1/4": lambda nodes, node, now: float(
        nodes.height[node] * nodes.size[node] ** 0.25
    ),
    "distance of children": _distance,
    "size x distance (Ward)": _ward,
    "contrast of children": _contrast,
    "tree x layout of children": _layout,
    "names so far": _answers,
    "labels of train": _labels,
}


def _split(model: Segmenter, train: Cells, val: Cells, rule: Rule) -> list[float]:
    """MIoU on val for each number of names."""
    nodes = Nodes(model, train)
    now, scores = nodes.start(NAMES[0]), list[float]()
    while True:
        if len(now) in NAMES:
            scores.append(_score(nodes, now, val.counts))
        inner = [node for node in now if node >= nodes.leaves]
        if not inner:
            return scores
        chosen = max(inner, key=lambda node: rule(nodes, node, now))
        now = [node for node in now if node != chosen] + list(nodes.children[chosen])


def _score(nodes: Nodes, now: list[int], counts: np.ndarray) -> float:
    names = np.zeros(nodes.leaves, np.int64)
    for node in now:
        names[nodes.below[node] > 0] = nodes.names[node]
    confusion = np.zeros((counts.shape[1], counts.shape[1]))
    np.add.at(confusion.T, names, counts)
    return miou(confusion)


def miou(confusion: np.ndarray) -> float:
    """In per cent, from (L, L): truth by prediction; over the classes that occur."""
    right = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - right
    return float(100 * (right / union.clip(1))[confusion.sum(1) > 0].mean())


# --- output


def _table(title: str, columns: Sequence[int], rows: Mapping[str, list[list[float]]]) -> None:
    """Means over sets, seeds and persons, and the difference from the first row with its error."""
    print(f"\n| {title} | {' | '.join(map(str, columns))} | difference |")
    print("|---|" + "--:|" * (len(columns) + 1))
    first = np.array(next(iter(rows.values()), []))
    for name, values in rows.items():
        scores = np.array(values)
        apart = (scores - first).mean(1)
        error = f" ± {apart.std(ddof=1) / len(apart) ** 0.5:.2f}" if len(apart) > 1 else ""
        means = " | ".join(f"{mean:.1f}" for mean in scores.mean(0))
        print(f"| {name} | {means} | {apart.mean():+.2f}{error} |")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled folder with two splits")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
