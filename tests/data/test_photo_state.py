"""Whether a photo is still the one that a mask was made of."""

import os
from dataclasses import replace
from pathlib import Path

from picie.data.folder import Photo
from picie.data.photo_state import PhotoState


def test_the_state_of_a_photo(tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(b"12345")
    photo = Photo(str(path), "photo", None)
    state = PhotoState.of(photo).with_digest(photo)
    assert state.is_same(photo)
    os.utime(path, (1, 1))
    assert state.is_same(photo)
    assert not PhotoState(5, 0).is_same(photo)  # without a digest
    path.write_bytes(b"12346")
    os.utime(path, (1, 1))
    assert not state.is_same(photo)
    assert state.with_digest(photo).digest == ""  # it changed while its mask was made
    path.unlink()
    for lost in (state, PhotoState(), PhotoState.of(photo)):
        assert not lost.is_same(photo)


def test_in_a_storage_what_the_listing_says_counts() -> None:
    photo = Photo("s3://bucket/a.jpg", "a", None, stamp='5210 "7f3a"')
    state = PhotoState.of(photo)
    assert (state.bytes, state.with_digest(photo)) == (5210, state)
    assert state.is_same(photo)
    for stamp in ('5210 "0000"', '5211 "7f3a"'):
        assert not state.is_same(replace(photo, stamp=stamp))
