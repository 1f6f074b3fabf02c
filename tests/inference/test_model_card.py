"""The card: what the hub reads, and what people read."""

import dataclasses

import pytest
import yaml

from picie.errors import ConfigError
from picie.inference.model_card import Card, card_text, check_licence, markdown_text
from picie.metrics.health import MEASURES

CARD = Card(
    source="user/streets",
    version="1.2.3",
    names=("road", "cluster 4"),
    colours=("#102030", "#405060"),
    ignored=("dust",),
    images=276,
    dataset="",
    settings={"clusters": 27, "predict_scales": (1.0, 1.5), "split": ""},
)


def front_matter(text: str) -> dict[str, object]:
    head, _ = text.removeprefix("---\n").split("\n---\n", 1)
    found: dict[str, object] = yaml.safe_load(head)
    return found


def test_the_front_matter_is_what_the_hub_reads() -> None:
    found = front_matter(card_text(dataclasses.replace(CARD, licence="apache-2.0")))
    assert found["library_name"] == "picie"
    assert found["pipeline_tag"] == "image-segmentation"
    assert found["license"] == "apache-2.0"
    assert "unsupervised" in str(found["tags"])
    assert "license" not in front_matter(card_text(CARD))


def test_it_says_what_the_model_is() -> None:
    text = card_text(CARD)
    assert "# streets\n" in text
    assert "into 2 classes" in text
    assert 'picie.load("user/streets")' in text
    assert "| 0 | road | `#102030` |" in text
    assert "Void (-1 in masks): dust." in text
    assert "276 images, without labels" in text
    assert "| predict_scales | 1.0 1.5 |" in text
    assert "`classes.toml` the names" in text


def test_parts_without_content_are_left_out() -> None:
    text = card_text(dataclasses.replace(CARD, images=None, ignored=(), names=("cluster 0",) * 2))
    for part in ("Health", "Scores", "![", "void", "classes.toml", "None"):
        assert part not in text
    assert "A folder of images, without labels" in text


def test_health_scores_and_sheet() -> None:
    scores = {
        "miou": 31.25,
        "accuracy": 60.5,
        "protocol": {"data": "/home/me/secret", "dataset": "msrc21", "images": 59, "crop": "none"},
    }
    card = dataclasses.replace(
        CARD, health={"silhouette": 0.1234}, scores=scores, sheet="sheet.png", dataset="msrc21"
    )
    text = card_text(card)
    assert "(sheet.png)" in text
    assert f"| silhouette | 0.123 | {MEASURES['silhouette'].meaning} |" in text
    assert "| dataset mIoU | 31.2 % |" in text
    assert "| dataset | msrc21 |" in text
    assert "of msrc21" in text
    assert "secret" not in text


def test_names_cannot_break_the_card() -> None:
    text = card_text(dataclasses.replace(CARD, names=("a|b\n# c", "<img src=x> _x_")))
    assert "| 0 | a\\|b # c |" in text
    assert "<img" not in text.replace("\\<img", "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("wild_flowers & road-side, 50 % (x)", "wild_flowers & road-side, 50 % (x)"),
        ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
        ("&lt;b&gt; &#60;", r"\&lt;b\&gt; \&#60;"),
        ("`a` | ~~b~~ **c** $d$", r"\`a\` \| \~\~b\~\~ \*\*c\*\* \$d\$"),
        ("![x](http://a.b/c) [y](z)", r"!\[x\](http:\//a.b/c) \[y\](z)"),
        ("www.a.b, me@a.b", r"www\.a.b, me\@a.b"),
        ("a\nb\\", r"a b\\"),
    ],
)
def test_text_is_shown_as_it_is(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


def test_no_part_of_the_card_is_markup_of_others() -> None:
    evil = "<img src=x onerror=alert(1)> | `x`"
    card = dataclasses.replace(
        CARD,
        source=f"me/{evil}",
        names=(evil, "b"),
        ignored=(evil,),
        dataset=evil,
        settings={evil: evil, "backbone": [evil]},
        scores={"miou": 1.0, "protocol": {"dataset": evil, "split": evil}},
    )
    text = card_text(card)
    code = text[text.index("```python") : text.index("## Classes")]
    assert "<img" not in text.replace(code, "").replace(r"\<img", "")
    assert "picie.load(" in code
    assert code.count("```") == 2
    front = text.split("---")[1]
    assert evil not in front


@pytest.mark.parametrize("licence", ["MIT License", "mit\ntags: x", "-x", "a: b"])
def test_a_licence_that_is_no_identifier(licence: str) -> None:
    with pytest.raises(ConfigError, match="give an identifier that the hub knows"):
        check_licence(licence)


def test_no_licence_is_fine() -> None:
    check_licence("")
    check_licence("cc-by-nc-4.0")
