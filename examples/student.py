"""Train a small, fast network on exported masks; score it against the masks, and against labels.

    picie export runs/first --format segmentation --images photos/ --out data/
    python examples/student.py data/ student.pt --minutes 5 --labelled photos/

It is an FPN of segmentation-models-pytorch on an EfficientNet-Lite0 whose weights come with picie.
--labelled is a folder with masks/ and classes.txt; it scores the exported masks, too.
"""

import argparse
import json
import time
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from picie.data.folder import open_folder
from picie.metrics.confusion import Confusion
from picie.metrics.scores import score_classes
from picie.models.backbones import packaged_weights

VOID = 255


class Part(Dataset[tuple[Tensor, Tensor]]):
    """Photos (3, h, w) in -1..1 and masks (1, H, W) of train or val."""

    def __init__(self, data: Path, part: str, *changes: v2.Transform) -> None:
        """List them; `changes` apply to photo and mask alike."""
        self.photos, self.masks = data / "images" / part, data / "masks" / part
        files = sorted(self.photos.rglob("*.jpg"))
        self.names = [file.relative_to(self.photos).as_posix()[:-4] for file in files]
        self.changes = v2.Compose([v2.Identity(), *changes])

    def __len__(self) -> int:
        """Number of photos."""
        return len(self.names)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """One photo and its mask."""
        name = self.names[number]
        with Image.open(self.photos / f"{name}.jpg") as photo:
            image = tv_tensors.Image(photo.convert("RGB"))
        with Image.open(self.masks / f"{name}.png") as mask:
            image, mask = self.changes(image, tv_tensors.Mask(mask))
        return image / 127.5 - 1, mask


def network(classes: int) -> nn.Module:
    """The student: trained weights in the encoder, random ones in the decoder."""
    model = smp.FPN("tu-tf_efficientnet_lite0", encoder_weights=None, classes=classes)
    encoder, weights = model.encoder.model, packaged_weights()
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
    student: nn.Module = model
    return student


def train(model: nn.Module, data: Path, size: int, minutes: float) -> int:
    """Learn from random crops until the time is over; returns the number of steps."""
    crops = v2.Resize(size), v2.RandomCrop(size), v2.RandomHorizontalFlip()
    loader = DataLoader(Part(data, "train", *crops), batch_size=8, shuffle=True)
    optimiser = torch.optim.AdamW(model.parameters())
    start, steps, over = time.monotonic(), 0, 0.0
    while over < 1:
        for photos, masks in loader:
            over = min(1.0, (time.monotonic() - start) / (60 * minutes))
            optimiser.param_groups[0]["lr"] = 1e-3 * (1 - over) ** 0.9
            loss = cross_entropy(model(photos), masks[:, 0].long(), ignore_index=VOID)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            steps += 1
            if over == 1:
                break
    return steps


@torch.inference_mode()
def predict(model: nn.Module, photo: Tensor, size: int) -> Tensor:
    """(H, W) class ids of a photo (3, H, W), seen with a short side of about `size`."""
    shape = photo.shape[1:]
    seen = [max(32, round(side * size / min(shape) / 32) * 32) for side in shape]
    scores = model(interpolate(photo[None], seen, mode="bilinear", antialias=True))
    return interpolate(scores, shape, mode="bilinear")[0].argmax(0)


def main() -> None:
    """Train, save and score."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, help="file for the weights of the network")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--size", type=int, default=256, help="side of the crops, a multiple of 32")
    parser.add_argument("--labelled", type=Path, help="folder with images/, masks/, classes.txt")
    args = parser.parse_args()
    for path in (args.data / "classes.json", args.out.parent, args.labelled or args.data):
        if not path.exists():  # said now, not after minutes of training
            parser.error(f"{path}: does not exist; check the path, or make it")
    labelled = open_folder(args.labelled) if args.labelled else None

    torch.manual_seed(0)
    names = tuple(json.loads((args.data / "classes.json").read_text()).values())
    model = network(len(names))
    steps = train(model, args.data, args.size, args.minutes)
    torch.save(model.eval().state_dict(), args.out)

    classes = names if labelled is None else labelled.classes
    truths = {} if labelled is None else {one.name: one for one in labelled.labelled}
    same = [classes.index(name) if name in classes else -1 for name in names] + [-1]
    agreement = Confusion(len(names), len(names))
    against = {who: Confusion(len(classes), len(names) + 1) for who in ("masks", "student")}
    part = Part(args.data, "val")
    for number, name in enumerate(part.names):
        photo, mask = part[number]
        found = predict(model, photo, args.size)
        agreement.update(mask[0], found)
        if labelled is not None and name in truths:
            height, width = found.shape
            truth = labelled.truth(truths[name], image_size=(width, height))
            against["masks"].update(truth, mask[0].clamp(max=len(names)))  # void is the last id
            against["student"].update(truth, found)

    own = list(range(len(names)))
    shown = {f"{steps} steps; the student against the masks of val": (agreement, names, own)}
    shown |= {f"{who} against labels of val": (one, classes, same) for who, one in against.items()}
    for title, (counts, known, mapping) in shown.items():
        if counts.pixels:
            scores = score_classes(counts.matrix, known, mapping=mapping, protocol={})
            print(f"{title}: accuracy {scores.accuracy:.1f} %, mIoU {scores.miou:.1f} %")


if __name__ == "__main__":
    main()
