"""Training by processes on two nodes: two groups on this machine, which share no working folder.

What two processes of one node learn is tested in `test_shared`.
"""

import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from picie.runs import Run

Train = Callable[..., tuple[list[int | None], list[str]]]


@pytest.fixture
def two_nodes(start: Callable[..., Any], tmp_path: Path) -> Train:
    """Runs `picie` on two nodes, in the folders a/ and b/; gives exit codes and what they said."""

    def run(*commands: list[str], count: int = 1, ends: dict[int, int] | None = None) -> Any:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        places = [tmp_path / name for name in "ab"]
        nodes = [
            start("launch_node", port, i == 0, count, str(places[i]), commands[-i], ends or {})
            for i in range(2)
        ]
        for node in nodes:
            node.join(timeout=60)  # much less than operations of torch wait
        late = [node.kill() for node in nodes if node.is_alive()]
        assert not late
        said = [(place / "said.txt").read_text() for place in places]
        for place in places:
            (place / "said.txt").unlink()
        return [node.exitcode for node in nodes], said

    return run


def run_of(tmp_path: Path) -> Path:
    """The run folder, which only one of the nodes has: that of the first process."""
    found = [path for path in (tmp_path / "a" / "run", tmp_path / "b" / "run") if path.exists()]
    assert len(found) == 1
    return found[0]


def test_a_run_whose_process_was_killed_goes_on_as_if_it_had_not_been(
    two_nodes: Train, pair: Path, scenes: Path, flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    command = ["train", str(scenes), "--out=run", *flags("default")]
    codes, said = two_nodes(command, ends={1: signal.SIGKILL})
    assert 0 not in codes
    (told,) = filter(None, said)  # nobody is left to speak on the other node
    assert told.count("\n") == 1
    assert "error: process 1 (on " in told
    assert "node 1) of this run has fallen silent" in told
    kept = "1 of 3 epochs are kept; go on with: picie train --resume run, started in the same way"
    assert told.endswith(kept + "\n")
    assert len(Run.open(run_of(tmp_path)).metrics()) == 1

    codes, said = two_nodes(["train", "--resume=run", "--quiet"])
    assert codes == [0, 0]
    assert said == ["", ""]
    ours, unbroken = run_of(tmp_path), pair / "learnt"
    for name in ("model.safetensors", "health.json", "images.jsonl"):
        assert (ours / name).read_bytes() == (unbroken / name).read_bytes()
    codes, said = two_nodes(["train", "--resume=run", "--quiet"])  # a finished run
    assert codes == [0, 0]


def test_every_node_hears_why_a_run_ends(
    two_nodes: Train, scenes: Path, flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    command = ["train", str(scenes), "--out=run", *flags("default")]
    codes, said = two_nodes(command, count=2, ends={3: signal.SIGTERM})
    assert 0 not in codes
    kept = "1 of 3 epochs are kept; go on with: picie train --resume run, started in the same way"
    assert [text.count(kept) for text in said] == [1, 1]
    assert sorted("process 3 (on " in text for text in said) == [False, True]
    assert any("error: stopped by SIGTERM; " in text for text in said)
    assert not any("Traceback" in text for text in said)
    assert not list(run_of(tmp_path).glob("*.part*"))


def test_nodes_that_see_other_photos_are_refused(
    two_nodes: Train, scenes: Path, flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(scenes, other)
    changed = sorted((other / "images").iterdir())[1]
    with changed.open("ab") as file:
        file.write(b"x")
    commands = [["train", str(d), "--out=run", *flags("default")] for d in (scenes, other)]
    codes, said = two_nodes(*commands)
    assert 0 not in codes
    for text in said:
        assert text.count("\n") == 1
        assert "process 1 (on " in text
        assert f"sees other images than process 0 (on {socket.gethostname()}, node 0)" in text
        assert changed.stem in text
    assert not list(tmp_path.glob("*/run/*"))


def test_four_processes_on_two_nodes_learn_what_one_learns(
    two_nodes: Train,
    runs: dict[str, Path],
    scenes: Path,
    flags: Callable[[str], list[str]],
    tmp_path: Path,
) -> None:
    # Six images in batches of three: the fourth process has none of them, and two of one cluster.
    codes, _ = two_nodes(["train", str(scenes), "--out=run", *flags("default")], count=2)
    assert codes == [0, 0]
    found = (run_of(tmp_path), runs["default"])
    ours, theirs = (load_file(run / "model.safetensors") for run in found)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=2e-3, atol=2e-4, msg=name)
