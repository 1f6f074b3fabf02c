"""Names of a model and classes of a folder; scores by name are tested with `evaluate`."""

import numpy as np

from picie.evaluation.named import match_names
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass


def test_each_id_finds_its_class(model: Segmenter) -> None:
    entries = (
        NamedClass("road", (2,)),
        NamedClass("empty", ()),
        NamedClass("Sky", (0,)),
        NamedClass("gone", (1,), ignore=True),
    )
    found = match_names(model.named(ClassNames(3, entries)), ["sky", "empty", "road", "sea"])
    assert found.columns == ("road", "empty", "Sky", "ignored")
    assert found.mapping == (2, -1, 0, -1)
    assert found.fits
    assert found.unknown == ()
    assert found.absent == ("empty", "sea")
    assert found.lines == ["in classes.txt, but not named in the model: empty, sea"]
    matrix = np.array([[0, 0, 4, 2], [0, 0, 0, 0], [3, 0, 0, 1], [0, 0, 0, 0]])
    assert found.without_class(matrix) == {"ignored": 30.0}


def test_an_unnamed_cluster_is_no_class_of_that_name(model: Segmenter) -> None:
    named = model.named(ClassNames.of(3, {"road": [1]}))
    found = match_names(named, ["cluster 0", "street"])
    assert found.columns == ("road", "cluster 0", "cluster 2")
    assert found.mapping == (-1, -1, -1)
    assert not found.fits
    assert found.unknown == ("road",)
