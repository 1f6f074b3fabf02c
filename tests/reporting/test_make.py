"""Reports of whole runs: what stands on the page for each kind of model."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import picie
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames, NamedClass
from picie.reporting.collect import Portraits
from picie.reporting.content import Tree
from picie.reporting.make import _parts, _tree, make_report
from picie.runs import Run
from picie.types import IGNORED


@pytest.fixture(scope="module")
def page(model: Segmenter, scenes: Path, runs: dict[str, Path]) -> str:
    return make_report(model, scenes, split="val", run=Run.open(runs["default"])).html


def test_everything_is_on_it(page: str, runs: dict[str, Path]) -> None:
    assert "3 clusters, found without labels, on 3 photos (folder " in page
    assert page.count('<figure class="shot"') == 3
    assert page.count("<polyline") >= 4  # loss, its two parts, effective clusters
    assert "view_information" in page
    assert "on square crops of 6 of the training photos, with 3 clusters" in page
    assert "cut at 3" in page
    assert page.count('<details class="node"') == 2 * page.count("</b> 1 centroid<") - 1
    assert '<table class="matrix">' in page
    assert str(runs["default"]) in page


def test_the_same_inputs_give_the_same_page(page: str, scenes: Path, runs: dict[str, Path]) -> None:
    again = load(runs["default"])
    assert make_report(again, scenes, split="val", run=Run.open(runs["default"])).html == page


def test_a_model_that_is_no_run(model: Segmenter, scenes: Path) -> None:
    made = make_report(model, scenes / "images", gallery=0, title="<mine>")
    assert "<h1>&lt;mine&gt;</h1>" in made.html
    assert "This model has no health.json" in made.html
    assert "No curves: this model has no metrics.jsonl" in made.html
    assert "There are no labels" in made.html
    assert "No photo is shown here, but all are counted above." in made.html
    assert made.note == ""  # nobody asked for a score


def test_two_epochs_make_no_curve(model: Segmenter, scenes: Path, runs: dict[str, Path]) -> None:
    run = Run.open(runs["default"])
    short = replace(run, config=run.config.model_copy(update={"epochs": 2}))
    html = make_report(model, scenes, split="val", run=short, gallery=1).html
    assert "No curves: 2 epochs make no curve; metrics.jsonl has the numbers." in html


def test_another_cut(model: Segmenter, scenes: Path, runs: dict[str, Path]) -> None:
    run = Run.open(runs["default"])
    html = make_report(model.cut(5), scenes, split="val", run=run, gallery=1).html
    assert "This report shows 5 clusters." in html
    assert "cut at 5" in html
    assert "1 of 3 photos, evenly spaced by name" in html


def test_names(model: Segmenter, scenes: Path) -> None:
    masks = [one.mask for one in model.predict_folder(scenes, split="val") if one.mask is not None]
    shares = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=3)
    least, _, most = np.argsort(shares).tolist()
    road = NamedClass("road", (most,), colour="#804080")
    names = ClassNames(3, (road, NamedClass("hood", (least,), ignore=True)))
    html = make_report(model.named(names), scenes, split="val").html
    assert "3 clusters with names, 2 ids in masks" in html
    assert '<h3 id="name-cluster-0">road</h3>' in html
    assert "background:#804080" in html
    ignored = re.search(r'<article class="card" id="cluster-ignored".*?</article>', html, re.S)
    assert ignored is None or "hood: void in masks" in ignored.group()


def tree_and_parts(
    model: Segmenter, run: Run | None = None
) -> tuple[Tree, dict[int, tuple[int, ...]]]:
    nothing = np.zeros(0)
    portraits = Portraits(1, (), nothing, np.zeros(0, np.int64), nothing, (), (), ())
    tree, _ = _tree(model, run, portraits)
    assert tree is not None
    return tree, _parts(model, tree)


def test_a_class_is_made_of_its_clusters_and_nodes(model: Segmenter) -> None:
    plain, parts = tree_and_parts(model)
    assert len(plain.owners) == len(plain.groups)
    whole = max(range(3), key=lambda number: plain.owners.count(number))
    [node] = parts[whole]  # a cluster is one node
    assert {plain.owners[leaf] for leaf in plain.members[node]} == {whole}
    left, right, _ = plain.merges[node - len(plain.owners)]
    first, second = sorted({0, 1, 2} - {whole})
    names = ClassNames(
        3,
        (
            NamedClass("both", (first, second)),
            NamedClass("half", nodes=(left,)),
            NamedClass("void", nodes=(right,), ignore=True),
        ),
    )
    _, named = tree_and_parts(model.named(names))
    assert named == {0: tuple(sorted(parts[first] + parts[second])), 1: (left,), IGNORED: (right,)}
    rest, split = tree_and_parts(model.named(ClassNames(3, (NamedClass("half", nodes=(left,)),))))
    assert (split[0], split[rest.owners[rest.members[right][0]]]) == ((left,), (right,))


def test_the_command_of_a_node_is_that_of_the_cut(
    model: Segmenter, runs: dict[str, Path], tmp_path: Path
) -> None:
    run = Run.open(runs["default"])
    assert tree_and_parts(model, run)[0].command == f"picie name {runs['default']}"
    assert tree_and_parts(model.cut(5), run)[0].command.endswith(" --clusters 5")
    assert tree_and_parts(model.cut(5))[0].command == "picie name RUN"
    model.named(ClassNames.of(3, {"road": [0]})).save(tmp_path / "my model")
    assert tree_and_parts(load(tmp_path / "my model"))[0].command.startswith("picie name '")


def test_two_sets_of_centroids_show_the_first(scenes: Path, runs: dict[str, Path]) -> None:
    model = load(runs["reference"])
    html = make_report(model, scenes, split="val", run=Run.open(runs["reference"])).html
    assert "cut at 3" in html
    assert html.count('<article class="card"') <= 3


def test_clusters_of_a_learnt_classifier_have_no_tree(model: Segmenter, scenes: Path) -> None:
    network = model.network.regrouped(list(model.network.groups))
    network._buffers = dict(network._buffers)
    network.offsets = network.offsets + 0.1
    network.trees = network.trees[:, :0]
    html = make_report(Segmenter(network, model.config), scenes, split="val").html
    assert "No tree: the clusters of this model come from a learnt classifier" in html


def test_a_report_is_one_call(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "page.html"
    made = picie.report(runs["default"], scenes, out, split="val", gallery=1)
    assert out.read_text(encoding="utf-8") == made.html
    assert made.photos == 3
    assert made.scored
    assert "<title>default" in made.html  # the name of the run folder
    with pytest.raises(ConfigError, match=r"give a file that ends in \.html"):
        picie.report(runs["default"], scenes, tmp_path / "page.txt")


def test_a_model_without_a_run_has_a_report_too(
    model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    model.named(None).save(tmp_path / "model")
    made = picie.report(tmp_path / "model", scenes, tmp_path / "page.html", split="val", gallery=1)
    assert made.photos == 3
    assert "written by" not in made.html  # that is said of runs
