"""The warnings about a model's health."""

from picie.metrics.health import Health, health_warnings


def test_warnings_say_what_is_wrong_or_needs_a_look() -> None:
    assert health_warnings({"largest_cluster": 0.9, "view_information": 0.0}) == ()
    [warning] = health_warnings({"largest_cluster": 0.91, "view_agreement": 1.0})
    assert warning.startswith("one cluster holds 91% of the pixels")
    [warning] = health_warnings({"constant_images": 0.5})
    assert warning.startswith("50% of the images are of (nearly) one colour")
    [warning] = health_warnings({"lighting_clusters": 2.0})
    assert warning.startswith("2 clusters each hold most of the darkest")
    [warning] = health_warnings({"one_image_clusters": 5.0})
    assert warning.startswith("5 clusters lie in one photo each: they may show the light or")
    [warning] = health_warnings({"one_image_clusters": 1.0})
    assert warning.startswith("one cluster lies in one photo: it may show")
    assert health_warnings({"largest_cluster": float("nan"), "constant_images": 0.0}) == ()


def test_a_notebook_shows_what_was_measured_and_what_is_wrong() -> None:
    health = Health({"largest_cluster": 0.9512345, "pictures": 6, "own <b>": 1.0})
    html = health._repr_html_()
    assert "warning: one cluster holds 95% of the pixels" in html
    for text in (
        "largest cluster",
        "0.951",
        "share of the pixels in the largest cluster",
        "images",
    ):
        assert text in html
    assert "own" not in html
    assert health.warnings == health_warnings(health)
    assert "nothing was measured" in Health()._repr_html_()
