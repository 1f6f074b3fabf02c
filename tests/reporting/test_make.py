"""Reports of whole runs: what stands on the page for each kind of model."""

import re
from pathlib import Path

import numpy as np
import pytest

from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames, NamedClass
from picie.reporting.make import make_report
from picie.runs import Run


@pytest.fixture(scope="module")
def page(model: Segmenter, scenes: Path, runs: dict[str, Path]) -> str:
    return make_report(model, scenes, split="val", run=Run.open(runs["default"])).html


def test_everything_is_on_it(page: str, runs: dict[str, Path]) -> None:
    assert "3 clusters, found without labels, on 3 photos of" in page
    assert page.count('<figure class="shot"') == 3
    assert page.count("<polyline") >= 4  # loss, its two parts, effective clusters
    assert "view_information" in page
    assert "on 6 of the photos that it was trained on, with 3 clusters" in page
    assert "cut at 3" in page
    assert '<table class="matrix">' in page
    assert str(runs["default"]) in page


def test_the_same_inputs_give_the_same_page(page: str, scenes: Path, runs: dict[str, Path]) -> None:
    again = load(runs["default"])
    assert make_report(again, scenes, split="val", run=Run.open(runs["default"])).html == page


def test_a_model_that_is_no_run(model: Segmenter, scenes: Path) -> None:
    made = make_report(model, scenes / "images", gallery=0, title="<mine>")
    assert "<h1>&lt;mine&gt;</h1>" in made.html
    assert "There is no health.json beside this model" in made.html
    assert "There is no metrics.jsonl beside this model" in made.html
    assert "There are no labels" in made.html
    assert "No photo is shown here; all of them are counted above." in made.html
    assert made.note == ""  # nobody asked for a score


def test_another_cut(model: Segmenter, scenes: Path, runs: dict[str, Path]) -> None:
    run = Run.open(runs["default"])
    html = make_report(model.cut(5), scenes, split="val", run=run, gallery=1).html
    assert "This report shows 5 clusters." in html
    assert "cut at 5" in html
    assert "1 of 3 photos, chosen at even distances" in html


def test_names(model: Segmenter, scenes: Path) -> None:
    masks = [one.mask for one in model.predict_folder(scenes, split="val") if one.mask is not None]
    shares = np.bincount(np.concatenate([mask.ravel() for mask in masks]), minlength=3)
    least, _, most = np.argsort(shares).tolist()
    road = NamedClass("road", (most,), colour="#804080")
    names = ClassNames(3, (road, NamedClass("hood", (least,), ignore=True)))
    html = make_report(model.named(names), scenes, split="val").html
    assert "3 clusters, named as 2 classes and clusters" in html
    assert '<h3 id="name-cluster-0">road</h3>' in html
    assert "background:#804080" in html
    ignored = re.search(r'<article class="card" id="cluster-ignored".*?</article>', html, re.S)
    assert ignored is None or "hood: void in masks" in ignored.group()


def test_two_sets_of_centroids_show_the_first(scenes: Path, runs: dict[str, Path]) -> None:
    model = load(runs["reference"])
    html = make_report(model, scenes, split="val", run=Run.open(runs["reference"])).html
    assert "cut at 3" in html
    assert html.count('<article class="card"') <= 3


def test_clusters_of_a_learnt_classifier_have_no_tree(model: Segmenter, scenes: Path) -> None:
    network = model.network.regrouped(list(model.network.groups))
    network._buffers = dict(network._buffers)
    network.offsets = network.offsets + 0.1
    html = make_report(Segmenter(network, model.config), scenes, split="val").html
    assert "There is no tree: the clusters of this model were learnt by a classifier" in html
