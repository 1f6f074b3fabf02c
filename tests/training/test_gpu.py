"""What a GPU would have to wait for, on a pretended one; and what half precision leaves alone.

Tensors of the pretended device have shapes and types but no values, so that each operation that
needs a value of them, and with it makes the host wait for a real device, is noticed.
"""

import contextlib
import copy
import dataclasses
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._pytree import tree_leaves

from picie.config import make_config
from picie.data.folder import open_folder
from picie.inference.segmenter import Segmenter, load
from picie.models.picie import PiCIE
from picie.runs import Run
from picie.runtime import devices
from picie.runtime.distributed import Processes
from picie.runtime.progress import Reporter
from picie.training.step import compute_losses
from picie.training.targets import Targets
from picie.training.trainer import Trainer
from picie.types import Batch
from picie.views.pair import Views

Settings = dict[str, dict[str, Any]]
Open = Callable[..., Trainer]

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


class PretendedGpu(FakeTensorMode):
    """While it is entered, `cuda` is a device that computes nothing.

    Attributes:
        waits: for each operation that would make the host wait, its name and line.
        wide: the same for each float64 tensor of the device.
        operations: number of operations on the device.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)
        self.waits: list[str] = []
        self.wide: list[str] = []
        self.operations = 0
        self._pinned: list[Tensor] = []
        self._inside = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.name().removeprefix("aten::").split(".")[0]
        leaves = tree_leaves((args, kwargs))
        tensors = [one for one in leaves if isinstance(one, Tensor)]
        pretended = CUDA.type in {one.type for one in leaves if isinstance(one, torch.device)}
        pretended |= any(isinstance(one, FakeTensor) for one in tensors)
        if name == "is_pinned":
            return self._is_pinned(tensors[0])
        if name == "_pin_memory":
            self._pinned.append(tensors[0].clone())
            return self._pinned[-1]
        if not pretended:
            return func(*args, **kwargs)
        if self._inside or func.name().startswith("prim::"):
            return super().__torch_dispatch__(func, types, args, kwargs)
        self.operations += 1
        if name in ("_local_scalar_dense", "equal", "is_nonzero"):  # these return values
            self.waits.append(_where(name))
            return name == "equal"
        if self._is_copy_from_device(name, tensors, kwargs):
            self.waits.append(_where("copy to the CPU"))
            return torch.zeros(tensors[0].shape, dtype=kwargs.get("dtype") or tensors[0].dtype)
        if self._is_late_copy(name, tensors, args, kwargs):
            self.waits.append(_where("copy from memory that is not pinned"))
        return self._pretended(func, types, args, kwargs, name)

    def _pretended(self, func: Any, types: Any, args: Any, kwargs: Any, name: str) -> Any:
        self._inside = True
        try:
            result = super().__torch_dispatch__(func, types, args, kwargs)
        except DynamicOutputShapeException:
            self.waits.append(_where(name))  # its shape depends on values
            raise
        finally:
            self._inside = False
        for one in tree_leaves(result):
            if isinstance(one, FakeTensor) and one.dtype == torch.float64:
                self.wide += [_where(name)] * (one.device.type == CUDA.type)
        return result

    def _is_pinned(self, tensor: Tensor) -> bool:
        places = {one.untyped_storage().data_ptr() for one in self._pinned}
        return tensor.untyped_storage().data_ptr() in places

    def _is_copy_from_device(self, name: str, tensors: list[Tensor], kwargs: Any) -> bool:
        device = torch.device(kwargs.get("device") or CUDA)
        return name == "_to_copy" and tensors[0].device.type == "cuda" and device.type == "cpu"

    def _is_late_copy(self, name: str, tensors: list[Tensor], args: Any, kwargs: Any) -> bool:
        if name not in ("_to_copy", "copy_") or tensors[-1].device.type != "cpu":
            return False
        late = kwargs.get("non_blocking", False) or (name == "copy_" and True in args[2:])
        return not (late and self._is_pinned(tensors[-1]))


def _where(name: str) -> str:
    """The name, and the line of picie that called it."""
    frame: Any = sys._getframe()
    while frame and "/src/picie/" not in frame.f_code.co_filename:
        frame = frame.f_back
    if not frame:
        return name
    return f"{name}, {frame.f_code.co_filename.split('/picie/')[-1]}:{frame.f_lineno}"


def backward(root: Tensor, *_: Any, **__: Any) -> None:
    """`Tensor.backward`, which torch's own engine refuses without a driver for the device."""
    assert root.grad_fn is not None
    grads: defaultdict[Any, dict[int, Tensor]] = defaultdict(dict)
    grads[root.grad_fn][0] = torch.ones_like(root)
    with torch.no_grad():
        for node in _nodes(root.grad_fn):
            given = grads.pop(node, {})
            if not given:
                continue
            count = len(node._input_metadata)
            call = getattr(node, "apply", node)
            found = call(*(given.get(index) for index in range(count)))
            found = found if isinstance(found, tuple) else (found,)
            for (after, index), grad in zip(node.next_functions, found, strict=False):
                if after is not None and grad is not None:
                    grad = grad.sum_to_size(after._input_metadata[index].shape)
                    before = grads[after].get(index)
                    grads[after][index] = grad if before is None else before + grad


def _nodes(first: Any) -> list[Any]:
    """The nodes of a graph, each before those that its gradients go to."""
    order: list[Any] = []
    seen, stack = {first}, [(first, iter(first.next_functions))]
    while stack:
        node, rest = stack[-1]
        step = next((one for one, _ in rest if one is not None and one not in seen), None)
        if step is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(step)
            stack.append((step, iter(step.next_functions)))
    return order[::-1]


def moved(value: Any) -> Any:
    """A copy with all tensors on the pretended device."""
    if isinstance(value, Tensor | nn.Module):
        return value.to(CUDA)
    if isinstance(value, tuple):
        return tuple(map(moved, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{k: moved(v) for k, v in vars(value).items()})
    return value


def frozen(network: PiCIE) -> PiCIE:
    """A copy for inference; on a pretended device none can be folded, as that compares values."""
    return copy.deepcopy(network).eval().requires_grad_(False)


@pytest.fixture
def opened(scenes: Path, settings: Settings, tmp_path: Path) -> Iterator[Open]:
    """Opens a trainer of a preset on the CPU."""
    trainers: list[Trainer] = []

    def start(preset: str, **changes: Any) -> Trainer:
        values = settings[preset] | {"batch_size": 4, "hue": 0.1, "kmeans_pixels": 64} | changes
        config = make_config(data=str(scenes), **values)
        network = PiCIE(config.backbone, config.feature_size, pretrained=False)
        run = Run.create(tmp_path / f"run{len(trainers)}", config, version="0")
        photos = open_folder(scenes, "train").photos
        reporter = Reporter(quiet=True)
        trainers.append(
            Trainer(run, config, network, photos, reporter=reporter, processes=Processes())
        )
        return trainers[-1]

    yield start
    for trainer in trainers:
        trainer.close()


@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("default", {}),
        ("default", {"objective": "picie-h", "auxiliary_clusters": 8, "similarity": "l2"}),
        ("default", {"objective": "mdc"}),
        ("default", {"objective": "iic"}),
        ("reference", {}),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else value,
)
def test_a_step_neither_waits_for_a_gpu_nor_computes_in_float64(
    opened: Open, preset: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = opened(preset, **changes)
    views = Views(trainer.config, 0, trainer.feature_size)
    targets = trainer.fit_targets(views, 0)
    if isinstance(targets, Targets):  # its own teacher is made for a CPU
        targets = dataclasses.replace(targets, teacher=frozen(trainer.model))
    [batch, *_] = trainer.loader([0, 1, 2, 3], 4)
    trainer.model.train(trainer.config.batchnorm != "running")
    monkeypatch.setattr(Tensor, "backward", backward)
    with PretendedGpu() as gpu:
        trainer.device = CUDA
        trainer.model.to(CUDA)
        heads = None if trainer.heads is None else trainer.heads.to(CUDA)
        targets = moved(targets) if heads is None else heads
        batch = Batch(batch.indices, batch.images.to(CUDA))
        gpu.waits.clear()
        gpu.wide.clear()
        with devices.autocast(CUDA, "fp32"):
            trainer.step(views, targets, batch)
    assert gpu.operations > 200
    assert gpu.waits == []
    assert gpu.wide == []


def test_masks_wait_for_a_gpu_once_for_each_image_and_twice_for_a_batch(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load(runs["default"])
    model._folded()
    lean = frozen(model.network)  # instead of that copy, which is made for a CPU
    model._folded._copy = lean
    monkeypatch.setattr("picie.models.folding.folded", lambda _: lean)
    monkeypatch.setattr("picie.models.folding._unchanged", lambda *_: True)
    monkeypatch.setattr(PiCIE, "clusters", 3)
    with PretendedGpu() as gpu:
        model.device = CUDA
        model.network.to(CUDA)
        lean.to(CUDA)
        gpu.waits.clear()
        gpu.wide.clear()  # the trees of the model, which stay there unused
        maps = list(model._maps(torch.zeros(4, 3, 32, 64, dtype=torch.uint8), 0, 1024, lean))
        assert len(gpu.waits) <= 2, gpu.waits
        gpu.waits.clear()
        gpu.operations = 0
        assert model._mask(maps[0], (50, 90)).shape == (50, 90)
        few = gpu.operations
        assert len(gpu.waits) == 1, gpu.waits
        assert gpu.wide == []
        many = maps[0].repeat(20, 1, 1)
        gpu.operations = 0
        model._mask(many, (50, 90))
        assert gpu.operations == few  # however many classes


def test_what_waits_is_noticed() -> None:
    with PretendedGpu() as gpu:
        one = torch.ones(3, device=CUDA)
        acts: list[Callable[[], object]] = [
            one.sum().item, one.cpu, one.nonzero, lambda: one[one > 0], lambda: bool(one.any()),
            lambda: torch.equal(one, one), lambda: torch.ones(2).to(CUDA, non_blocking=True),
            lambda: torch.ones(2).pin_memory().to(CUDA), lambda: one.copy_(torch.ones(3)),
            one.unique,
        ]  # fmt: skip
        for number, act in enumerate(acts, 1):
            with contextlib.suppress(DynamicOutputShapeException):
                act()
            assert len(gpu.waits) == number, (number, gpu.waits)
        devices.to_device(torch.ones(2), CUDA)
        assert len(gpu.waits) == len(acts)
        one.double()
        assert len(gpu.wide) == 1


# --- half precision


def test_in_bf16_only_the_network_is_not_float32(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_processor", lambda: {"avx512_bf16": True})
    losses, gradients = [], []
    first = opened("default")
    views = Views(first.config, 0, first.feature_size)
    targets = first.fit_targets(views, 0)  # the same labels for both
    [batch, *_] = first.loader([0, 1, 2, 3], 4)
    assert isinstance(targets, Targets)
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        trainer = opened("default", precision=precision)
        trainer.model.load_state_dict(first.model.state_dict())
        fits = trainer.fit_targets(views, 0)
        assert isinstance(fits, Targets)
        found = [one.clusters.centroids for one in fits.levels[0].fits]
        found += [one.vectors for one in fits.levels[0].prototypes]
        with devices.autocast(CPU, precision):
            pair = views(batch)
            assert trainer.model(pair.first).dtype == kind
            of_batch, _ = compute_losses(trainer.model, targets, pair, trainer.config)
        of_batch.total.backward()
        learnt = [one.grad for one in trainer.model.decoder.parameters() if one.grad is not None]
        found += [*vars(pair).values(), of_batch.total, *of_batch.parts.values(), *learnt]
        assert {one.dtype for one in found} == {torch.float32}
        losses.append(float(of_batch.total.detach()))
        gradients.append(torch.cat([one.flatten() for one in learnt]))
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.98


def test_the_precision_of_a_run_is_in_its_log(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_processor", dict)
    trainer = opened("default", precision="bf16", decoder_init="random")
    with trainer.log_to_file():
        trainer.start()
    assert "computes in fp32, not in bf16" in trainer.run.log_path.read_text()


def test_a_model_says_what_it_computes_in(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(devices, "_processor", dict)
    model = load(runs["default"], device="cpu", precision="bf16")
    assert "computes in fp32, not in bf16" in caplog.text
    images = torch.rand(1, 3, 32, 32)
    plain = Segmenter(model.network, model.config, precision="fp32")
    assert torch.equal(model.features(images), plain.features(images))
    assert model.precision == "bf16"  # as it was asked for
