"""What a photo was like when something was made of it."""

import os
from dataclasses import dataclass

from picie.data.folder import Photo
from picie.runtime.outputs import digest_of

__all__ = ["UNKNOWN", "PhotoState"]


@dataclass(frozen=True, slots=True)
class PhotoState:
    """The content of a photo at some time.

    Attributes:
        bytes: its size; -1 = unknown.
        mtime: its modification time in ns; 0 in a storage.
        digest: SHA-256 of its bytes; in a storage, what the listing said; "" = unknown.
    """

    bytes: int = -1
    mtime: int = 0
    digest: str = ""

    @classmethod
    def of(cls, photo: Photo) -> "PhotoState":
        """The current state; without the digest on this machine."""
        if photo.stamp:
            return cls(int(photo.stamp.partition(" ")[0]), 0, photo.stamp)
        try:
            status = os.stat(photo.file)
        except (OSError, ValueError):
            return cls()
        return cls(status.st_size, status.st_mtime_ns)

    def with_digest(self, photo: Photo) -> "PhotoState":
        """With the digest of the photo, unless it has changed since."""
        if photo.stamp:
            return self
        digest = digest_of(photo.file)
        return PhotoState(self.bytes, self.mtime, digest if self == PhotoState.of(photo) else "")

    def is_same(self, photo: Photo) -> bool:
        """Whether the photo is still that; one on this machine with another time is read."""
        now = PhotoState.of(photo)
        if self.bytes != now.bytes or now.bytes < 0:
            return False
        if photo.stamp:
            return self.digest == now.digest
        return self.mtime == now.mtime or self.digest == digest_of(photo.file) != ""


UNKNOWN = PhotoState()
"""The state of a photo that cannot be reached."""
