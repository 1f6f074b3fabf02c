from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picie.data.masks import LabelCode, MaskOrientation, MaskTally, mask_rule, read_mask, stored_ids
from picie.data.opening import turned
from picie.errors import ConfigError, DataError

IDS = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)


def write(path: Path, image: Image.Image, **options: Any) -> Path:
    image.save(path, **options)
    return path


def read(path: Path, num_classes: int = 3) -> list[list[int]]:
    mask = read_mask(path, image_size=(3, 2), num_classes=num_classes)
    assert mask.dtype == np.uint8
    return mask.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_mask(tmp_path: Path, dtype: Any) -> None:
    assert read(write(tmp_path / "a.png", Image.fromarray(IDS.astype(dtype)))) == IDS.tolist()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_palette_indices_are_the_ids(tmp_path: Path, bits: int) -> None:
    ids = np.array([[0, 1, 2], [2, 1, 0]], dtype=np.uint8)
    image = Image.fromarray(ids)
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 0, 200])
    assert read(write(tmp_path / "a.png", image, bits=bits)) == ids.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_grey_in_several_channels_holds_ids(tmp_path: Path, mode: str) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(IDS).convert(mode))
    assert read(path) == IDS.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colours_are_refused(tmp_path: Path, mode: str) -> None:
    pixels = np.stack([IDS, IDS, IDS * 0], 2)
    path = write(tmp_path / "a.png", Image.fromarray(pixels).convert(mode))
    with pytest.raises(DataError, match=rf"a\.png: holds colours \({mode}\), .* class ids; save"):
        read(path)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_refused(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(IDS).convert(mode)
    image.putalpha(Image.fromarray(IDS))
    path = write(tmp_path / "a.png", image)
    with pytest.raises(DataError, match=rf"a\.png: holds colours \({mode}, transparent in part\)"):
        read(path)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey_hold_ids(tmp_path: Path, bits: int) -> None:
    """Decoders stretch them to 0..255."""
    ids = np.array([[0, 1, 1], [1, 0, 0]], np.uint8) * (2**bits - 1)
    image = Image.fromarray(ids > 0) if bits == 1 else Image.fromarray(ids)
    path = write(tmp_path / "a.png", image, bits=bits)
    assert read(path, 2**bits) == ids.tolist()


def test_other_size_names_both(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(IDS))
    with pytest.raises(DataError, match=r"a\.png: is 3 x 2 pixels, but its image 30 x 20"):
        read_mask(path, image_size=(30, 20), num_classes=3)


@pytest.mark.parametrize(
    ("value", "classes", "ids"), [(2, 2, "2"), (254, 254, "254"), (300, 3, "300")]
)
def test_unknown_ids_are_named(tmp_path: Path, value: int, classes: int, ids: str) -> None:
    array = np.array([[0, 1, value], [255, 1, 0]], dtype=np.uint16)
    path = write(tmp_path / "a.png", Image.fromarray(array))
    with pytest.raises(DataError, match=rf"a\.png: holds the ids {ids}, but .* lists {classes} cl"):
        read(path, classes)


def test_many_unknown_ids_are_shortened(tmp_path: Path) -> None:
    array = np.arange(10, 16, dtype=np.uint8).reshape(2, 3)
    path = write(tmp_path / "a.png", Image.fromarray(array))
    with pytest.raises(DataError, match=r"ids 10, 11, 12, 13, 14, \.\.\., but"):
        read(path)


def test_unknown_ids_say_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.array([[0, 128, 0]] * 2, np.uint8)))
    with pytest.raises(DataError, match=r"for example --mask-map 128=1 or --void 128$"):
        read(path)


def test_unreadable_masks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no\.png: cannot be read as a mask \(No such file"):
        read(tmp_path / "no.png")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n123")
    with pytest.raises(DataError, match=r"a\.png: .* \(not a complete PNG file\); replace"):
        read(tmp_path / "a.png")


def test_ids_from_1(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.array([[1, 2, 3]] * 2, np.uint8)))
    with pytest.raises(
        DataError, match=r"if ids are counted from 1, pass .* 0=void 1=0 \.\.\. 3=2$"
    ):
        read(path)


# --- stored ids and colours of a known data set

CODE = LabelCode("mine", (255, 0, 1), ((0, 0, 0), (255, 0, 0), (0, 0, 255)))


def decoded(path: Path, code: LabelCode = CODE) -> list[list[int]]:
    mask = read_mask(path, image_size=(3, 2), num_classes=2, code=code)
    assert mask.dtype == np.uint8
    return mask.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stored_ids_become_class_ids(tmp_path: Path, dtype: Any) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(IDS.astype(dtype)))
    assert decoded(path) == [[255, 0, 1], [255, 0, 255]]
    assert stored_ids(path).tolist() == IDS.tolist()


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_colours_become_class_ids(tmp_path: Path, ending: str) -> None:
    colours = np.array(CODE.colours, np.uint8)[[[0, 1, 2], [2, 1, 0]]]
    path = write(tmp_path / f"a.{ending}", Image.fromarray(colours))
    assert decoded(path) == [[255, 0, 1], [1, 0, 255]]
    assert stored_ids(path, CODE).tolist() == [[0, 1, 2], [2, 1, 0]]


def test_ids_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.array([[0, 3, 7]] * 2, np.uint8)))
    with pytest.raises(
        DataError, match=r"a\.png: holds the ids 3, 7, which mine does not have; is"
    ):
        decoded(path)


def test_colours_that_the_data_set_does_not_have(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = (1, 2, 3)
    path = write(tmp_path / "a.png", Image.fromarray(pixels))
    with pytest.raises(
        DataError, match=r"the colours \(1, 2, 3\), which mine does not have; is it"
    ):
        decoded(path)
    plain = LabelCode("plain", (0,))
    with pytest.raises(DataError, match=r"holds colours \(RGB\), but a mask must hold class ids"):
        decoded(path, plain)


def test_a_long_lookup_may_give_255_a_class(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.full((2, 3), 255, np.uint8)))
    assert decoded(path, LabelCode("long", (0,) * 256)) == [[0] * 3] * 2


def test_a_broken_tiff_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(DataError, match=r"a\.tif: cannot be .* \(not a complete TIFF file\)"):
        decoded(tmp_path / "a.tif")


# --- what a user says about masks


def ruled(values: Any, path: Path, num_classes: int = 2, **rule: Any) -> list[list[int]]:
    array = np.asarray(values, np.uint16)
    write(path, Image.fromarray(array))
    size = (array.shape[1], array.shape[0])
    mask = read_mask(path, image_size=size, num_classes=num_classes, rule=mask_rule(**rule))
    return mask.tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"mask_map": {255: 1}}, [0, 1, 1]),
        ({"mask_map": {"255": "1"}}, [0, 1, 1]),
        ({"mask_map": ["255=1"]}, [0, 1, 1]),
        ({"mask_map": {0: "void", 1: 0}}, [255, 0, 255]),
        ({"mask_map": ["0=void", "1=0", "255=1"]}, [255, 0, 1]),
        ({"void": 0}, None),
        ({"void": 0, "mask_map": {255: 0}}, [255, 1, 0]),
        ({"void": "0", "mask_map": {255: 0}}, [255, 1, 0]),
        ({"void": 255}, [0, 1, 255]),
        ({"void": "none"}, [0, 1, 1]),
        ({"void": None}, [0, 1, 1]),
    ],
)
def test_values_get_the_classes_that_a_user_says(
    tmp_path: Path, rule: dict[str, Any], expected: list[int] | None
) -> None:
    if expected is None:
        with pytest.raises(DataError, match=r"holds the ids 255, but classes\.txt lists 2 classes"):
            ruled([[0, 1, 255]], tmp_path / "a.png", **rule)
    else:
        assert ruled([[0, 1, 255]], tmp_path / "a.png", **rule) == [expected]


def test_without_void_255_is_a_class_of_two_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds the ids 255"):
        ruled([[0, 1, 255]], tmp_path / "a.png", 3, void=None)
    assert ruled([[0, 65535]], tmp_path / "a.png", mask_map={65535: 1}) == [[0, 1]]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"void": "some"}, r"--void some: 'some' is not a whole number from 0 to 65535; give"),
        ({"void": -1}, "--void -1: -1 is not a whole number"),
        ({"void": True}, "True is not a whole number"),
        ({"void": 70000}, "70000 is not a whole number"),
        (
            {"mask_map": ["255"]},
            "--mask-map 255: give a stored value and its class id, such as 255",
        ),
        ({"mask_map": ["a=1"]}, "--mask-map a=1: 'a' is not a whole number"),
        ({"mask_map": {1: 256}}, "--mask-map 1=256: 256 is not a whole number from 0 to 255"),
        ({"mask_map": ["1=0", "1=2"]}, "--mask-map 1=2: the value 1 is mapped twice; remove one"),
        ({"orientation": "up"}, "unknown mask orientation 'up'; known: auto, stored, shown"),
    ],
)
def test_impossible_rules(rule: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        mask_rule(**rule)


def test_rules_that_cannot_apply() -> None:
    with pytest.raises(ConfigError, match=r"--mask-map 255=2: there is no class 2; .* lists 2 cla"):
        mask_rule(mask_map={255: 2}).check(2)
    mask_rule(mask_map={0: "void", 255: 1}).check(2)
    with pytest.raises(ConfigError, match="the ids in masks of mine are known; remove --void and"):
        mask_rule(void=0).check(2, CODE)
    mask_rule(orientation="stored").check(2, CODE)


# --- what the masks of a set hold


def tallied(folder: Path, masks: list[Any], classes: int = 2, **rule: Any) -> MaskTally:
    """The tally of some masks, checked."""
    tally, named = MaskTally(), [f"class {number}" for number in range(classes)]
    for number, mask in enumerate(masks):
        path = write(folder / f"{number}.png", Image.fromarray(np.asarray(mask, np.uint8)))
        size = np.shape(mask)[::-1]
        for _ in range(2):  # a second pass counts nothing
            read_mask(
                path, image_size=size, num_classes=classes, rule=mask_rule(**rule), tally=tally
            )
    tally.check("photos", named, mask_rule(**rule))
    return tally


def test_a_tally_counts_each_mask_once(tmp_path: Path) -> None:
    tally = tallied(tmp_path, [[[0, 1, 255]], [[255, 255, 1]]])
    assert tally.stored == {0: 1, 1: 2, 255: 3}
    assert tally.classes == tally.stored
    assert tally.void_share == 0.5


@pytest.mark.parametrize(
    ("masks", "classes", "message"),
    [
        (
            [[[0, 255, 0, 0]], [[0]]],
            2,
            r"photos: the masks hold 0 and 255 alone, and 255 \(20.0% of",
        ),
        (
            [[[0, 255]]],
            2,
            r"If 255 is class 1 \(class 1\), pass --mask-map 255=1 or --void none; if",
        ),
        ([[[0, 255]]], 3, r"pass --mask-map 255=1; if it is void, pass --void 255"),
        ([[[0, 255]]], 1, r"pass --mask-map 0=void 255=0; if it is a second class, add its name"),
        ([[[1, 255, 255]]], 2, r"so only class 1 \(class 1\) is left. If 255 is class 0 \(class 0"),
        ([[[2, 255, 255]]], 3, r"only class 2 .* --mask-map 255=0"),
    ],
)
def test_255_is_not_void_in_silence_if_one_class_is_left(
    tmp_path: Path, masks: list[Any], classes: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        tallied(tmp_path, masks, classes)
    tallied(tmp_path, masks, classes, void=255)
    tallied(tmp_path, masks, classes, mask_map={255: "void"})


@pytest.mark.parametrize(
    "masks",
    [
        [[[0, 255]], [[1, 1]]],  # one class and void borders in a mask, another in the next
        [[[0, 1, 255, 255, 255, 255]]],
        [[[1, 1, 1, 255]]],  # one class that is not 0, and borders
        [[[0, 1]], [[0, 0]]],
        [[[255, 255]]],  # nothing to score, which is another error
    ],
)
def test_genuine_void_passes(tmp_path: Path, masks: list[Any]) -> None:
    tallied(tmp_path, masks)


def test_no_void_and_both_1_and_255(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"masks hold 1 and 255, and with --void none both would"):
        tallied(tmp_path, [[[0, 255]], [[0, 1]]], void="none")
    assert tallied(tmp_path, [[[0, 255]]], void="none").classes == {0: 1, 1: 1}


# --- turned images

UPRIGHT = np.array([[0, 1, 2], [1, 1, 0]], np.uint8)
BACK = {6: 8, 8: 6}
"""The orientation that undoes another; the others undo themselves."""


def of_turned(
    path: Path, mask: Any, orientation: int, how: MaskOrientation = "auto"
) -> tuple[list[list[int]], MaskTally]:
    """A mask of an image that is 3 x 2 when it is shown."""
    write(path, Image.fromarray(np.ascontiguousarray(mask)))
    tally = MaskTally()
    ids = read_mask(
        path,
        image_size=(3, 2),
        num_classes=3,
        rule=mask_rule(orientation=how),
        orientation=orientation,
        tally=tally,
    )
    return ids.tolist(), tally


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_drawn_on_stored_images(tmp_path: Path, orientation: int) -> None:
    stored = turned(UPRIGHT, BACK.get(orientation, orientation))
    path = tmp_path / "a {b}.png"
    ids, _ = of_turned(path, stored, orientation, "stored")
    assert ids == UPRIGHT.tolist()
    ids, tally = of_turned(path, UPRIGHT, orientation)
    assert ids == UPRIGHT.tolist()
    assert len(tally.doubtful) == (1 < orientation < 5)
    assert not of_turned(path, UPRIGHT, orientation, "shown")[1].doubtful
    if orientation >= 5:
        with pytest.raises(
            DataError,
            match=rf"is 2 x 3 pixels, but its image 3 x 2: .* \(EXIF orientation {orientation}\), "
            "and the mask is not; pass --mask-orientation stored",
        ):
            of_turned(path, stored, orientation)
        with pytest.raises(DataError, match=r"3 x 2 .* stored with 2 x 3 \(EXIF .*; remove --mask"):
            of_turned(path, UPRIGHT, orientation, "stored")


def test_square_masks_of_quarter_turns_are_in_doubt(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", Image.fromarray(np.zeros((3, 3), np.uint8)))
    tally = MaskTally()
    read_mask(path, image_size=(3, 3), num_classes=1, orientation=6, tally=tally)
    assert tally.doubtful == {path}


def test_a_mask_with_an_orientation_of_its_own(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 3
    path = write(tmp_path / "a.png", Image.fromarray(UPRIGHT), exif=exif)
    with pytest.raises(
        DataError, match=r"has an EXIF orientation of its own \(3\); pass --mask-or"
    ):
        read(path)
    shown = mask_rule(orientation="shown")
    ids = read_mask(path, image_size=(3, 2), num_classes=3, rule=shown, orientation=3)
    assert ids.tolist() == UPRIGHT.tolist()


def test_the_limit_of_images_applies_and_not_that_of_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.png", Image.new("L", (70, 60)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # a warning from there, an error from 2000
    assert read_mask(path, image_size=(70, 60), num_classes=1).shape == (60, 70)
    with pytest.raises(DataError, match=r"a\.png: has 70 x 60 pixels, more than 4,000;"):
        read_mask(path, image_size=(70, 60), num_classes=1, most=4000)
