"""Names on the page show before the server has answered: both work out the same."""

import json
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLD = Path(__file__).parent / "page" / "fold.mjs"
TITLES = ("road", "sky", "tree", "ignore")


def _acts(nodes: int, leaves: int, count: int) -> list[dict[str, Any]]:
    """Random naming acts; some of them cannot be done."""
    draw = random.Random(3)
    acts: list[dict[str, Any]] = []
    for _ in range(count):
        node, title = draw.randrange(nodes), draw.choice(TITLES)
        kinds: list[dict[str, Any]] = [
            *[{"act": "name", "node": node, "title": title}] * 4,
            {"act": "name", "nodes": sorted(draw.sample(range(leaves), 2)), "title": title},
            {"act": "unname", "node": node},
            {"act": "rename", "title": title, "to": draw.choice([*TITLES, f"new {node}"])},
            {"act": "colour", "title": title, "colour": f"#{draw.randrange(1 << 24):06x}"},
            {"act": "clear", "title": title},
            {"act": "cut", "clusters": draw.randrange(2, leaves + 1)},
        ]
        acts.append(draw.choice(kinds))
    return acts


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_page_works_out_names_like_the_server(
    serving: Callable[..., Any], twelve_photos: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    served = serving(twelve_photos, run)
    served.wait_for_phase("ready")
    model = served.ask("/api/model").json
    leaves = model["centroids"]

    def counts() -> Any:
        rows = np.frombuffer(served.ask("/api/counts").body, "<u2").reshape(-1, leaves)
        return rows[(rows != 65535).any(1)]

    served.wait(lambda: len(counts()) == 12)
    steps, before = [], served.ask("/api/state").json
    for act in _acts(len(model["node_colours"]), leaves, 120):
        answer = served.post("/api/act", {"page": "a", **act})
        if answer.status == 200:
            steps.append({"before": before, "act": act, "after": answer.json["state"]})
            before = answer.json["state"]
    assert len(steps) > 60
    shares = (counts().mean(0) / 65535).tolist()
    path = tmp_path / "steps.json"
    path.write_text(json.dumps({"model": model, "shares": shares, "steps": steps}))
    done = subprocess.run(["node", str(FOLD), str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{len(steps)}\n"


def test_an_act_that_is_sent_again_is_done_once(
    serving: Callable[..., Any], twelve_photos: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    served = serving(twelve_photos, run)
    served.wait_for_phase("ready")
    act = {"page": "a", "key": "0123456789abcdef", "act": "name", "node": 1, "title": "road"}
    first, second = served.post("/api/act", act).json, served.post("/api/act", act).json
    assert first["event"] == second["event"]
    assert first["state"]["end"] == second["state"]["end"] == 1
