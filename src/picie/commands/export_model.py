"""`picie export --model`."""

import torch

from picie.commands.export_arguments import Export
from picie.data.images import check_size
from picie.errors import ConfigError
from picie.export.model.export import Exported, export_model
from picie.export.model.graph import LEAST_SIDE
from picie.inference.segmenter import Segmenter, load
from picie.runtime.progress import Reporter

__all__ = ["run"]

_RUNTIMES = {"onnx": "ONNX Runtime", "torch": "the loaded program"}


def run(options: Export) -> None:
    """Write the model to one file, and say how near it is to torch.

    Raises:
        ConfigError: flags that only masks have.
    """
    assert options.model is not None  # `export.run` looks at that
    for flag, given in (("--images", options.images), ("--split", options.split)):
        if given:
            raise ConfigError(f"{flag} is for masks (--format); leave it out with --model")
    model = load(options.run, device="cpu", precision="fp32")
    if options.clusters is not None:
        model = model.cut(options.clusters)
    if options.scales or options.refine is not None:
        model = model.post_processed(scales=options.scales or None, refine=options.refine)
    if options.size is not None:
        model = _resized(model, options.size)
    reporter = Reporter(quiet=options.quiet)
    reporter.say("tracing the network; takes up to a minute or two")
    found = export_model(
        model, options.out, options.model, opset=options.opset, overwrite=options.overwrite
    )
    _show(found, model, _RUNTIMES[options.model], reporter)


def _resized(model: Segmenter, size: int) -> Segmenter:
    check_size(size)
    config = model.config.model_copy(update={"size": size})
    return Segmenter(model.network, config, precision="fp32", class_names=model.class_names)


def _show(found: Exported, model: Segmenter, runtime: str, reporter: Reporter) -> None:
    check = found.check
    (own, other), (_, height, width) = check.seconds, check.sizes[-1]
    sizes = ", ".join(f"{batch}x{high}x{wide}" for batch, high, wide in check.sizes)
    threads = torch.get_num_threads()
    reporter.say(f"{found.path} ({found.bytes / 1e6:.1f} MB), {model.clusters} classes")
    reporter.say(
        f"checked against torch on {sizes}: logits differ by {check.difference:.1e} of the "
        f"largest, {check.pixels:.4%} of the pixels have another id"
    )
    reporter.say(
        f"a picture of {height}x{width} takes {runtime} {1000 * own:.0f} ms and picie in "
        f"torch {1000 * other:.0f} ms, {threads} thread{'s' * (threads > 1)} each"
    )
    reporter.say(
        f"give it pictures (B, H, W, 3) uint8 RGB with a short side of "
        f"{max(model.config.size, LEAST_SIDE)} pixels and sides that are multiples of 32"
    )
    if model.config.refine:
        reporter.say(
            f"not in the file: the {model.config.refine} iterations of border refinement that "
            "picie predict adds"
        )
