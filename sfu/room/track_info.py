"""What others are told of a published track (LiveKit's TrackInfo), from its announcement and its description."""

from collections.abc import Iterable, Sequence
from typing import Final

from livekit.protocol import models, rtc

from rtp.sdp.codecs import DESCRIBED
from rtp.units import Mid, Rid
from sfu.media.layers import numbered
from sfu.model import TrackSid

SCREEN_SOURCES: Final = frozenset({models.SCREEN_SHARE, models.SCREEN_SHARE_AUDIO})
"""Of what is shared of a screen."""

_SPATIAL_LAYERS: Final = {models.LOW: 0, models.MEDIUM: 1, models.HIGH: 2}
_MAX_QUALITY_LAYERS: Final = 3
_SCALABLE: Final = {mime.lower() for mime in DESCRIBED}


def new_track_info(request: rtc.AddTrackRequest, sid: TrackSid, enabled: Sequence[str]) -> models.TrackInfo:
    """Return what a client is told of the track that it announced; `enabled` are the MIME types that it may have."""
    features = list(request.audio_features)
    if request.stereo:
        features.append(models.TF_STEREO)
    if request.disable_dtx:
        features.append(models.TF_NO_DTX)
    layers = by_quality(request.layers)
    is_audio = request.type == models.AUDIO
    codecs: dict[str, models.SimulcastCodecInfo] = {}
    for codec in request.simulcast_codecs or (rtc.SimulcastCodec(cid=request.cid),):
        mime = enabled_mime(codec.codec, enabled, is_audio=is_audio)
        # What is named twice, or became so, is the one that was named first.
        codecs.setdefault(mime.lower(), _codec_info(mime, codec.cid, by_quality(codec.layers) or layers))
    info = models.TrackInfo(
        sid=sid,
        type=request.type,
        name=request.name,
        width=request.width,
        height=request.height,
        muted=request.muted,
        simulcast=not is_audio and len(layers) > 1,
        source=request.source,
        layers=layers,
        codecs=codecs.values(),
        stream=request.stream or _stream_name(request.source),
        disable_red=request.disable_red,
        encryption=request.encryption,
        backup_codec_policy=models.SIMULCAST if is_audio else request.backup_codec_policy,
        packet_trailer_features=request.packet_trailer_features,
    )
    set_features(info, features)
    return info


def set_features(info: models.TrackInfo, features: Iterable[models.AudioTrackFeature]) -> None:
    """Let `info` say what is done to a sound; what we do not know is left out, and what comes twice is said once."""
    known = [each for each in dict.fromkeys(features) if each in models.AudioTrackFeature.values()]
    info.ClearField("audio_features")
    info.audio_features.extend(known)
    info.stereo = models.TF_STEREO in known
    info.disable_dtx = models.TF_NO_DTX in known


def enabled_mime(name: str, enabled: Sequence[str], *, is_audio: bool) -> str:
    """Return the MIME type of the codec that a client calls so, or the best that it may have; nothing for no name."""
    mime = f"{'audio' if is_audio else 'video'}/{name}" if name else ""
    is_enabled = not mime or not enabled or mime.lower() in {each.lower() for each in enabled}
    return mime if is_enabled else enabled[0]


def announce_codec(
    info: models.TrackInfo, mime: str, codec: rtc.SimulcastCodec, layers: Iterable[models.VideoLayer]
) -> None:
    """Add to what others are told of a track that it will come in another codec, which may have been named before."""
    known = next((each for each in info.codecs if each.mime_type.lower() == mime.lower()), None) or info.codecs.add()
    known.CopyFrom(_codec_info(mime, codec.cid, list(layers) or known.layers))


def describe_media(info: models.TrackInfo, mid: Mid, mime: str, rids: tuple[Rid, ...], *, is_first: bool) -> None:
    """Add to what others are told what the description has settled: the codec, the section and the layers' names.

    The codec need not be one that was announced: a browser that cannot encode those takes another. The one that comes
    first is that of the track as such.
    """
    if is_first:
        info.mime_type = mime
        info.mid = mid
    codec = next((each for each in info.codecs if each.mime_type.lower() in {mime.lower(), ""}), None)
    if codec is None:
        codec = info.codecs.add()
        codec.CopyFrom(_codec_info(mime, "", info.layers))
    codec.mime_type = mime
    codec.video_layer_mode = _layer_mode(mime)
    codec.mid = mid
    by_layer = {layer: rid for rid, layer in numbered(rids).items()}
    for layer in (*(info.layers if is_first else ()), *codec.layers):
        layer.spatial_layer = _SPATIAL_LAYERS[layer.quality] if len(info.layers) == _MAX_QUALITY_LAYERS else 0
        layer.rid = by_layer.get(layer.spatial_layer, "")


def source_name(source: models.TrackSource) -> str:
    """Return a source as tokens spell it; what clients may call one that is newer than we are is unknown."""
    known = source if source in models.TrackSource.values() else models.TrackSource.UNKNOWN
    return models.TrackSource.Name(known).lower()


def by_quality(layers: Iterable[models.VideoLayer]) -> list[models.VideoLayer]:
    """Return layers from the lowest quality up."""
    return sorted(layers, key=lambda layer: layer.quality)


def _codec_info(mime: str, cid: str, layers: Iterable[models.VideoLayer]) -> models.SimulcastCodecInfo:
    return models.SimulcastCodecInfo(
        mime_type=mime,
        cid=cid,
        layers=layers,
        video_layer_mode=_layer_mode(mime),
    )


def _layer_mode(mime: str) -> models.VideoLayer.Mode:
    """Return how a codec is taken to be published: browsers put the layers of some into one stream."""
    if mime.lower() in _SCALABLE:
        return models.VideoLayer.MULTIPLE_SPATIAL_LAYERS_PER_STREAM
    return models.VideoLayer.ONE_SPATIAL_LAYER_PER_STREAM


def _stream_name(source: models.TrackSource) -> str:
    if source in SCREEN_SOURCES:
        return "screen"
    return "camera" if source in (models.CAMERA, models.MICROPHONE) else "unknown"
