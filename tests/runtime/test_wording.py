"""Values in words."""

from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from picie.runtime.wording import in_words, plain_problem, suggest_value


@pytest.mark.parametrize(
    ("kind", "limits", "words"),
    [
        (int, {"ge": 0, "lt": 10}, "a whole number from 0 to 9"),
        (int, {"ge": 32, "le": 64, "multiple_of": 32}, "a multiple of 32 from 32 to 64"),
        (float, {"ge": 0, "lt": 1}, "a number from 0 to below 1"),
        (float, {"gt": 0, "le": 1e6}, "a number above 0 to 1000000"),
        (float, {"ge": 0, "le": 0.5}, "a number from 0 to 0.5"),
        (bool, {}, "true or false"),
        (str, {"max_length": 5}, "text of at most 5 characters"),
        (Literal["a", "b"], {}, "a, b"),
        (tuple[int, ...], {"max_length": 3}, "a list of at most 3 whole numbers"),
        (tuple[float, ...], {"max_length": 3}, "a list of at most 3 numbers"),
    ],
)
def test_limits_in_words(kind: Any, limits: dict[str, Any], words: str) -> None:
    assert in_words(kind, limits) == words


class _Kinds(BaseModel):
    whole: int = Field(2, ge=2, le=8, multiple_of=2)
    part: float = Field(0.5, gt=0, lt=1, allow_inf_nan=False)
    word: str = Field("a", min_length=1, max_length=3)
    choice: Literal["a", "b"] = "a"
    switch: bool = True
    several: tuple[int, ...] = Field((1,), min_length=1, max_length=2)
    table: dict[str, int] = {}
    wanted: int


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("whole", 0, "give 2 or more"),
        ("whole", 10, "give 8 or less"),
        ("whole", 3, "give a multiple of 2"),
        ("whole", "x", "give a whole number"),
        ("whole", 2.5, "give a whole number"),
        ("part", 0, "give more than 0.0"),
        ("part", 1, "give less than 1.0"),
        ("part", float("nan"), "give a finite number"),
        ("part", "x", "give a number"),
        ("word", "", "give a text that is not empty"),
        ("word", "abcd", "give at most 3 characters"),
        ("word", 3, "give text in quotes"),
        ("choice", "c", "give 'a' or 'b'"),
        ("switch", "perhaps", "give true or false"),
        ("several", 3, "give a list"),
        ("several", (), "give at least 1"),
        ("several", (1, 2, 3), "give at most 2 entries"),
        ("table", 3, "give a table"),
        ("wanted", None, "give a whole number"),
    ],
)
def test_every_kind_of_problem_is_told_in_words(field: str, value: Any, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Kinds.model_validate({"wanted": 1, field: value})
    [item] = caught.value.errors()
    assert plain_problem(item) == words


def test_what_is_missing_or_of_no_known_kind() -> None:
    with pytest.raises(ValidationError) as caught:
        _Kinds.model_validate({})
    assert plain_problem(caught.value.errors()[0]) == "is missing; add it"
    assert plain_problem({"type": "other", "msg": "Value error, give more"}) == "give more"


def test_the_nearest_value_is_suggested() -> None:
    known = ("default", "best")
    assert suggest_value("bset", known) == "did you mean 'best'? Known: default, best"
    assert suggest_value("zzz", known) == "known: default, best"
    assert suggest_value(16**4500, known) == "known: default, best"  # too long to be written
