"""timm works without torch's compiler, and both work afterwards."""

import subprocess
import sys

SCRIPT = """
import sys, torch
from picie.models.lean_timm import import_timm
timm = import_timm()
assert "torch._dynamo" not in sys.modules, "the compiler was imported"
assert timm.is_model("resnet18") and timm is import_timm()
import torch._dynamo
from torchvision.ops.roi_align import is_compile_supported
assert is_compile_supported("cpu") == torch._dynamo.utils.is_compile_supported("cpu")
assert torch.compiler.disable is not timm.layers.disable_compiler
marked = timm.layers.disable_compiler(lambda: 1)
assert marked() == 1 and marked._torchdynamo_disable
"""


def test_the_compiler_is_not_imported_and_works_later() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
