"""The sample of an audit, and what its answers say."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from picie.annotation import audit
from picie.annotation.audit import (
    AuditPlan,
    answer,
    answers_to,
    audit_result,
    classes_of,
    plan_audit,
    render_crop,
)
from picie.annotation.events import digest_of_image
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.visualization.crops import SIDE


@pytest.fixture(scope="module")
def named(model: Segmenter) -> Segmenter:
    return model.named(ClassNames.of(3, {"sky": [0], "road": [1], "house": [2]}))


@pytest.fixture(scope="module")
def plan(named: Segmenter, scenes: Path) -> AuditPlan:
    return plan_audit(named, scenes, 60)


def test_checks_are_pixels_of_the_predicted_class(
    named: Segmenter, scenes: Path, plan: AuditPlan
) -> None:
    masks = {one.name: one for one in named.predict_folder(scenes)}
    assert len(plan.checks) == 60
    for check in plan.checks:
        one = masks[check.image]
        assert one.mask is not None
        x, y = check.point
        assert named.names[one.mask[int(y), int(x)]] == check.predicted
        assert (x % 1, y % 1) == (0.5, 0.5)
        assert check.size == one.mask.shape[::-1]
        assert check.digest == digest_of_image(one.path)
        assert plan.folder.photos[check.place].name == check.image
        assert plan.classes[check.stratum] == check.predicted
    assert len({(check.image, check.point) for check in plan.checks}) == 60
    counts = np.stack(
        [
            np.bincount(one.mask.ravel(), minlength=3)
            for one in masks.values()
            if one.mask is not None
        ]
    )
    assert (plan.pixels == counts).all()
    assert plan.total == 9
    assert plan.nameless == 0


def test_the_same_call_gives_the_same_checks_and_more_begin_like_fewer(
    named: Segmenter, scenes: Path, plan: AuditPlan
) -> None:
    again = plan_audit(named, scenes, 25, batch_size=2, workers=0)
    assert again.checks == plan.checks[:25]
    other = plan_audit(named, scenes, 25, seed=1)
    assert set(other.checks) != set(again.checks)


def test_the_sample_is_the_same_in_strips(
    named: Segmenter, scenes: Path, plan: AuditPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_STRIP", 100)
    assert plan_audit(named, scenes, 60).checks == plan.checks


def test_every_pixel_of_a_class_is_equally_likely(named: Segmenter, scenes: Path) -> None:
    """Counts by image over many seeds, against shares of the pixels."""
    found: Counter[str] = Counter()
    pool = audit._Pool(classes_of(named), 1, 0, "0")
    masks = [(one.name, one.mask) for one in named.predict_folder(scenes)]
    for seed in range(400):
        pool = audit._Pool({"road": 1}, 5, seed, "0")
        for name, mask in masks:
            assert mask is not None
            pool.add(name, mask)
        found.update(int(row[2]) for row in pool._found)  # type: ignore[misc]
    pixels = np.stack(pool.counts)[:, 0]
    expected = 2000 * pixels / pixels.sum()
    drawn = np.array([found[number] for number in range(len(pixels))])  # type: ignore[index]
    used = expected > 0
    assert drawn[~used].sum() == 0
    assert float((np.square(drawn - expected)[used] / expected[used]).sum()) < 30  # chi-square, 8


def test_a_folder_is_predicted_up_to_a_number_of_images(
    named: Segmenter, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MOST_IMAGES", 4)
    few = plan_audit(named, scenes, 10)
    assert (len(few.folder), len(few.pixels), few.total) == (4, 4, 9)
    names = [photo.name for photo in few.folder.photos]
    assert names == sorted(names)
    assert {check.image for check in few.checks} <= set(names)
    others = {photo.name for photo in plan_audit(named, scenes, 10, seed=3).folder.photos}
    assert others != set(names)
    right = [answer(few, check, right=True, by="test") for check in few.checks]
    assert audit_result(few, right).images == 4


def test_a_new_photo_changes_few_checks(
    named: Segmenter, scenes: Path, tmp_path: Path, plan: AuditPlan
) -> None:
    shutil.copytree(scenes / "images", tmp_path / "photos")
    before = plan_audit(named, tmp_path / "photos", 60)
    shutil.copy(scenes / "images" / "scene_0000.jpg", tmp_path / "photos" / "new.jpg")
    after = plan_audit(named, tmp_path / "photos", 60)
    keys = {(check.image, check.point) for check in before.checks}
    assert len(keys & {(check.image, check.point) for check in after.checks}) > 40
    assert keys == {(check.image, check.point) for check in plan.checks}


def test_another_model_is_checked_elsewhere_but_colours_do_not_matter(
    named: Segmenter, scenes: Path, plan: AuditPlan
) -> None:
    painted = named.named(
        ClassNames(
            3, (NamedClass("sky", (0,), colour="#ff0000"), NamedClass("road", (1,)),
                NamedClass("house", (2,))),
        )
    )  # fmt: skip
    assert plan_audit(painted, scenes, 60).checks == plan.checks
    other = plan_audit(named.post_processed(refine=1), scenes, 60)
    assert other.model != plan.model
    assert {check.point for check in other.checks} != {check.point for check in plan.checks}


def test_clusters_without_a_name_are_not_checked(model: Segmenter, scenes: Path) -> None:
    partly = model.named(
        ClassNames(3, (NamedClass("sky", (0,)), NamedClass("edge", (1,), ignore=True)))
    )
    plan = plan_audit(partly, scenes, 10)
    assert plan.classes == ("sky",)
    assert {check.predicted for check in plan.checks} == {"sky"}
    assert 0 < plan.nameless < 100


@pytest.mark.parametrize("names", [None, ClassNames(3)])
def test_a_model_without_names_is_refused(
    model: Segmenter, scenes: Path, names: ClassNames | None
) -> None:
    with pytest.raises(ConfigError, match=r"have no names, .*: picie name .* --set 3=road"):
        plan_audit(model.named(names), scenes)


def test_bad_input(named: Segmenter, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^0 checks: give 1 to 100000"):
        plan_audit(named, scenes, 0)
    (tmp_path / "a.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"none of the 1 images could be read; first: "):
        plan_audit(named, tmp_path)
    shutil.copy(scenes / "images" / "scene_0000.jpg", tmp_path / "b.jpg")
    plan = plan_audit(named, tmp_path, 5)
    assert len(plan.problems) == 1
    assert [photo.name for photo in plan.folder.photos] == ["b"]
    assert {check.place for check in plan.checks} == {0}


def test_classes_of_no_pixel(model: Segmenter, scenes: Path) -> None:
    names = ClassNames(3, (NamedClass("unicorn"),))
    with pytest.raises(DataError, match=r"no pixel of 9 images has a class; name more clusters"):
        plan_audit(model.named(names), scenes, 5)


def test_answers_make_the_result(plan: AuditPlan) -> None:
    events = [
        answer(plan, check, right=check.predicted == "sky", title="tree", by="test")
        for check in plan.checks
    ]
    result = audit_result(plan, events)
    share = plan.pixels.sum(0) / plan.pixels.sum()
    assert result.accuracy.value == pytest.approx(100 * share[0])
    assert result.accuracy.low < result.accuracy.value < result.accuracy.high
    assert result.precision["sky"].value == 100
    assert result.precision["road"].value == 0
    assert result.wrong["road"] == {"tree": result.precision["road"].checks}
    assert "sky" not in result.wrong
    assert list(result.share) == ["sky", "road", "house"]
    assert sum(result.share.values()) == pytest.approx(100)
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (values["answered"], values["checks"]) == (60, 60)
    assert values["precision"]["sky"]["interval"][1] == 100


def test_only_answers_to_this_audit_count_and_the_last_one_does(plan: AuditPlan) -> None:
    first, second = plan.checks[:2]
    wrong = answer(plan, first, right=False, by="test")
    assert wrong.title == ""
    right = answer(plan, first, right=True, title="tree", by="test")
    assert right.title == ""
    others = [
        replace(wrong, model="0123456789abcdef"),
        replace(wrong, digest="0123456789abcdef"),
        replace(wrong, points=((0.0, 0.0),)),
        replace(wrong, act="accept"),
    ]
    found = answers_to(plan, [wrong, *others, right])
    assert found == {first: right}
    assert second not in found
    assert audit_result(plan, [wrong, right]).accuracy.checks == 1
    assert audit_result(plan, []).accuracy.checks == 0
    assert audit_result(plan, []).wrong == {}


def test_the_crop_shows_the_pixel(named: Segmenter, plan: AuditPlan) -> None:
    image = render_crop(named, plan, plan.checks[0])
    assert image.mode == "RGB"
    assert max(image.size[1], (image.size[0] - 12) // 2) == SIDE


def test_a_photo_that_changed_is_not_shown(named: Segmenter, scenes: Path, tmp_path: Path) -> None:
    shutil.copy(scenes / "images" / "scene_0000.jpg", tmp_path / "a.jpg")
    plan = plan_audit(named, tmp_path, 3)
    shutil.copy(scenes / "images" / "scene_0001.jpg", tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: has changed since the audit was planned; start"):
        render_crop(named, plan, plan.checks[0])
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(DataError, match="has changed since"):
        render_crop(named, plan, plan.checks[0])
