"""Data blobs: what a participant may leave with the server, and how it is found again."""

import pytest
from livekit.protocol import models, rtc

from sfu.data.blobs import MAX_BLOBS, MAX_BYTES, BlobRefusedError, DataBlobs


def blob(name: str, contents: bytes = b"x") -> models.DataBlob:
    return models.DataBlob(key=models.DataBlobKey(generic=name), contents=contents)


def key(name: str) -> models.DataBlobKey:
    return models.DataBlobKey(generic=name)


def test_a_blob_takes_the_place_of_the_one_that_had_its_key() -> None:
    blobs = DataBlobs()
    blobs.store(blob("a", b"1" * 60_000))
    blobs.store(blob("a", b"2" * 60_000))
    assert blobs.get(key("a")).contents == b"2" * 60_000


def test_a_schema_is_told_from_a_generic_blob_of_its_name() -> None:
    blobs = DataBlobs()
    schema = models.DataBlobKey(schema_id=models.DataTrackSchemaId(name="a"))
    blobs.store(models.DataBlob(key=schema, contents=b"schema"))
    assert blobs.get(schema).contents == b"schema"
    with pytest.raises(BlobRefusedError) as refused:
        blobs.get(key("a"))
    assert refused.value.reason == rtc.RequestResponse.NOT_FOUND


@pytest.mark.parametrize(
    "bad",
    [models.DataBlob(), blob(""), blob("k" * 256), blob("k", bytes(MAX_BYTES))],
    ids=["no key", "empty key", "long key", "too large"],
)
def test_what_cannot_be_kept_is_refused(bad: models.DataBlob) -> None:
    with pytest.raises(BlobRefusedError) as refused:
        DataBlobs().store(bad)
    assert refused.value.reason == rtc.RequestResponse.INVALID_REQUEST


def test_many_small_blobs_are_too_many() -> None:
    blobs = DataBlobs()
    for number in range(MAX_BLOBS):
        blobs.store(blob(str(number)))
    with pytest.raises(BlobRefusedError, match="at most"):
        blobs.store(blob("one more"))
    blobs.store(blob("0", b"another"))


def test_what_is_not_counted_of_a_blob_is_not_kept() -> None:
    newer = b"\x7a\x80\x80\x40" + bytes(1 << 20)  # field 15, which nobody knows
    blobs = DataBlobs()
    blobs.store(models.DataBlob.FromString(blob("a", b"1").SerializeToString() + newer))
    assert blobs.get(key("a")) == blob("a", b"1")
