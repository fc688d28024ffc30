"""Data blobs: small things that a participant leaves with the server for others to ask for, such as schemas of its data."""

from typing import Final

from livekit.protocol import models, rtc

MAX_KEY_BYTES: Final = 256
MAX_BYTES: Final = 64_000
"""Of all blobs of one participant, with their keys."""

MAX_BLOBS: Final = 256
"""Of one participant: small ones cost more memory than their bytes."""

_Reason = rtc.RequestResponse


class BlobRefusedError(Exception):
    """A request that gets a `RequestResponse` with this reason."""

    def __init__(self, reason: rtc.RequestResponse.Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class DataBlobs:
    """The blobs of one participant, by their keys."""

    def __init__(self) -> None:
        self._blobs: dict[bytes, models.DataBlob] = {}

    def store(self, blob: models.DataBlob) -> None:
        """Keep a blob, in place of one that had its key. Raises BlobRefusedError."""
        key = _read_key(blob.key)
        others = {each: kept for each, kept in self._blobs.items() if each != key}
        size = sum(len(each) + len(kept.contents) for each, kept in others.items())
        if size + len(key) + len(blob.contents) > MAX_BYTES or len(others) >= MAX_BLOBS:
            limit = f"the blobs of a participant have {MAX_BYTES} bytes, and are {MAX_BLOBS}, at most"
            raise BlobRefusedError(_Reason.INVALID_REQUEST, limit)
        # A copy, because the request is a part of it that may be far larger: what was counted is kept, and no more.
        self._blobs[key] = models.DataBlob(key=blob.key, contents=blob.contents)

    def get(self, key: models.DataBlobKey) -> models.DataBlob:
        """Return the blob of a key. Raises BlobRefusedError."""
        blob = self._blobs.get(_read_key(key))
        if blob is None:
            raise BlobRefusedError(_Reason.NOT_FOUND, "no data blob has this key")
        return blob


def _read_key(key: models.DataBlobKey) -> bytes:
    """Return what tells a key from others. Raises BlobRefusedError if it is none, or too long."""
    read = key.SerializeToString(deterministic=True)
    text = key.generic if key.WhichOneof("key") == "generic" else key.schema_id.name
    if not text or len(read) > MAX_KEY_BYTES:
        raise BlobRefusedError(_Reason.INVALID_REQUEST, f"a key has 1 to {MAX_KEY_BYTES} bytes")
    return read
