"""What an operator can set, under the names of LiveKit's configuration file: a frozen tree, checked and complete."""

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import Annotated, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from sfu.settings import CongestionSettings, DataSettings, Limits, Patience, PlayoutDelay, RoomSettings, RoomWishes
from triforium.durations import parse_duration

DEVELOPMENT_KEYS: Final = {"devkey": "secret"}
RECOMMENDED_SECRET_LENGTH: Final = 32
"""RFC 7518 §3.2 wants keys of at least the hash's 256 bits."""

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
"""0 means any free one."""

Seconds: TypeAlias = Annotated[int, Meta(ge=0)]

ConsentSeconds: TypeAlias = Annotated[int, Meta(ge=5, le=30)]
"""Browsers give a sign of life every 2.5 s at the latest; RFC 7675 §5.1 has senders stop after 30 s."""

Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]


class ConfigError(Exception):
    """A configuration that cannot be used; the text is one line for the operator."""


class CongestionControlConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done where a subscriber's connection cannot carry all that it wants."""

    enabled: bool = True
    allow_pause: bool = False

    @property
    def settings(self) -> CongestionSettings:
        """The same, as rooms want to have it."""
        return CongestionSettings(enabled=self.enabled, may_pause=self.allow_pause)


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    """Some of many: all that `includes` names, or all if it names none, without what `excludes` names."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether nothing was chosen."""
        return not self.includes and not self.excludes

    def has(self, matches: Callable[[str], bool]) -> bool:
        """Say whether something is chosen, of which `matches` tells whether a word names it."""
        is_included = not self.includes or any(map(matches, self.includes))
        return is_included and not any(map(matches, self.excludes))


class RtcConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where media goes. See `udp_ports` and `node_ips` for what the spelled fields mean.

    `interfaces` are chosen by name, `ips` by network or address. `stun_servers` are asked for our external address, if
    `use_external_ip` wants that; without any, those that LiveKit's server asks.
    """

    udp_port: Port | str = 7882
    port_range_start: Port | None = None
    port_range_end: Port | None = None
    node_ip: str | tuple[str, ...] | dict[Literal["v4", "v6"], str] = ""
    interfaces: Choice = Choice()
    ips: Choice = Choice()
    use_external_ip: bool = False
    stun_servers: tuple[str, ...] = ()
    enable_loopback_candidate: bool = False
    consent_timeout: ConsentSeconds = 15
    congestion_control: CongestionControlConfig = CongestionControlConfig()
    datachannel_slow_threshold: Count = 16 * 1024
    datachannel_lossy_target_latency: str = "100ms"
    datachannel_data_track_target_latency: str = "100ms"

    def __post_init__(self) -> None:
        if not self.udp_ports:
            raise ValueError("the range of UDP ports is empty")
        for address in self.node_ips:
            _check_address(address, "node_ip")
        for network in (*self.ips.includes, *self.ips.excludes):
            _check_network(network)
        for server in self.stun_servers:
            _check_server(server)
        for name in ("datachannel_lossy_target_latency", "datachannel_data_track_target_latency"):
            parse_duration(getattr(self, name), name)

    @property
    def data(self) -> DataSettings:
        """What is asked of those who read data. The threshold is in bytes a second. What there is, `Config.data` says."""
        return DataSettings(
            self.datachannel_slow_threshold,
            parse_duration(self.datachannel_lossy_target_latency),
            parse_duration(self.datachannel_data_track_target_latency),
        )

    @property
    def udp_ports(self) -> range:
        """The ports to try, in order: the first free one serves all media."""
        if isinstance(self.udp_port, str):
            first, _, last = self.udp_port.partition("-")
            if not (first.strip().isdecimal() and last.strip().isdecimal()):
                raise ValueError(f"udp_port: expected a port or a range like 7882-7892, not {self.udp_port!r}")
            return range(int(first), min(int(last), 65535) + 1)
        if self.port_range_start is None:
            return range(self.udp_port, self.udp_port + 1)
        return range(self.port_range_start, (self.port_range_end or self.port_range_start) + 1)

    @property
    def node_ips(self) -> tuple[str, ...]:
        """What to offer instead of our own addresses: one of a family at most is of use."""
        spelled = self.node_ip.values() if isinstance(self.node_ip, dict) else self.node_ip
        parts = spelled.split(",") if isinstance(spelled, str) else spelled
        return tuple(part.strip() for part in parts if part.strip())


class HttpsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether HTTP is served over TLS. Without files of the operator's, a local authority makes a certificate."""

    enabled: bool = False
    cert_file: str = ""
    key_file: str = ""

    def __post_init__(self) -> None:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file belong together")

    @property
    def is_on(self) -> bool:
        """Whether to serve TLS: asked for, or given the files for it."""
        return self.enabled or bool(self.cert_file)


class PlayoutDelayConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long subscribers hold pictures back, in milliseconds, if `enabled`; a `max` of 0 stands for ten seconds."""

    enabled: bool = False
    min: Count = 0
    max: Count = 0


class RoomPreset(Struct, frozen=True, forbid_unknown_fields=True):
    """What can be asked of a new room by the preset's name; what is left out is as for any room."""

    empty_timeout: Seconds = 0
    departure_timeout: Seconds = 0
    max_participants: Count = 0
    metadata: str = ""
    sync_streams: bool = False
    min_playout_delay: Count = 0
    max_playout_delay: Count = 0

    @property
    def wishes(self) -> RoomWishes:
        """The same, as rooms want to have it."""
        return RoomWishes(
            self.empty_timeout,
            self.departure_timeout,
            self.max_participants,
            self.metadata,
            sync_streams=self.sync_streams,
            playout_delay=PlayoutDelay(self.min_playout_delay, self.max_playout_delay),
        )


class RoomConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What rooms do by themselves. `max_participants` of 0 stands for any number.

    With `removal_revokes` whoever is removed needs a new token to come back. Whose media path is lost has a
    `resume_timeout` to come back.
    """

    auto_create: bool = True
    empty_timeout: Seconds = 300
    departure_timeout: Seconds = 20
    max_participants: Count = 0
    enable_remote_unmute: bool = False
    duplicate_identity: Literal["replace", "reject"] = "replace"
    removal_revokes: bool = False
    resume_timeout: Seconds = 5
    enable_full_room_in_webhooks: bool = False
    sync_streams: bool = False
    playout_delay: PlayoutDelayConfig = PlayoutDelayConfig()
    room_configurations: dict[str, RoomPreset] = field(default_factory=dict)

    @property
    def settings(self) -> RoomSettings:
        """The same, as rooms want to have it."""
        delay = self.playout_delay
        return RoomSettings(
            self.empty_timeout,
            self.departure_timeout,
            self.max_participants,
            replaces_duplicates=self.duplicate_identity == "replace",
            sync_streams=self.sync_streams,
            playout_delay=PlayoutDelay(delay.min, delay.max) if delay.enabled else None,
        )

    @property
    def presets(self) -> dict[str, RoomWishes]:
        """The room configurations, as rooms want to have them."""
        return {name: preset.wishes for name, preset in self.room_configurations.items()}


class LimitConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long texts may be, in bytes, and how much media there may be; 0 stands for any."""

    max_metadata_size: Count = 512 * 1024
    max_attributes_size: Count = 64 * 1024
    max_room_name_length: Count = 256
    max_participant_identity_length: Count = 256
    max_participant_name_length: Count = 256
    subscription_limit_audio: Count = 0
    subscription_limit_video: Count = 0
    num_tracks: Count = 0
    bytes_per_sec: Count = 0

    @property
    def limits(self) -> Limits:
        """The same, as rooms want to have it."""
        return Limits(
            self.max_metadata_size,
            self.max_attributes_size,
            self.max_room_name_length,
            self.max_participant_identity_length,
            self.max_participant_name_length,
            self.subscription_limit_audio,
            self.subscription_limit_video,
            self.num_tracks,
            self.bytes_per_sec,
        )


class WebhookConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Who is told of what happens in rooms, and with which key what they are told is signed."""

    urls: tuple[str, ...] = ()
    api_key: str = ""

    def __post_init__(self) -> None:
        for url in self.urls:
            if not _is_http(url):
                _, _, shown = url.rpartition("@")  # what stands before it may be a password
                raise ValueError(f"urls: expected http:// or https:// and a host, not {shown!r}")


class LoggingConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is logged, and for whom."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    json: bool = False


class PrometheusConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where metrics are shown, and to whom: on a port of their own, 0 for nowhere."""

    port: Port = 0
    username: str = ""
    password: str = ""

    def __post_init__(self) -> None:
        if bool(self.username) != bool(self.password):
            raise ValueError("username and password belong together")


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All that can be set. `keys` are secrets by API key; without `bind_addresses` we listen on all."""

    port: Port = 7880
    bind_addresses: tuple[str, ...] = ()
    keys: dict[str, str] = field(default_factory=dict)
    rtc: RtcConfig = RtcConfig()
    room: RoomConfig = RoomConfig()
    limit: LimitConfig = LimitConfig()
    webhook: WebhookConfig = WebhookConfig()
    prometheus: PrometheusConfig = PrometheusConfig()
    logging: LoggingConfig = LoggingConfig()
    https: HttpsConfig = HttpsConfig()
    enable_data_tracks: bool = True
    enable_participant_data_blob: bool = False
    development: bool = False

    def __post_init__(self) -> None:
        for address in self.bind_addresses:
            _check_address(address, "bind_addresses")
        for key, secret in self.keys.items():
            _check_pair(key, secret)
        if self.webhook.urls and self.webhook.api_key not in self.keys:
            raise ValueError("webhook.api_key: expected one of `keys`, to sign webhooks with")

    @property
    def patience(self) -> Patience:
        """How long somebody is waited for of whom nothing is heard any more."""
        return Patience(self.rtc.consent_timeout, self.room.resume_timeout)

    @property
    def data(self) -> DataSettings:
        """What data there is, and what is asked of those who read it."""
        kinds = {"has_tracks": self.enable_data_tracks, "has_blobs": self.enable_participant_data_blob}
        return dataclasses.replace(self.rtc.data, **kinds)

    @property
    def warnings(self) -> list[str]:
        """What is allowed, and should be mended."""
        warnings = []
        if self.prometheus.port and not self.prometheus.username and not self.development:
            warnings.append("prometheus.port shows metrics to everybody who reaches it: set a username and password")
        short = [key for key, secret in self.keys.items() if len(secret) < RECOMMENDED_SECRET_LENGTH]
        if short and not self.development:
            warnings.append(
                f"secrets should have {RECOMMENDED_SECRET_LENGTH} characters or more:"
                f" that of {', '.join(short)} has less"
            )
        return warnings


def _check_address(text: str, name: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError(f"{name}: expected an IP address, not {text!r}") from error


def _check_pair(key: str, secret: str) -> None:
    """Refuse a pair with which anybody could sign."""
    if not key.strip():
        raise ValueError("keys: a key is empty")
    if not secret.strip():
        raise ValueError(f"keys: the secret of {key!r} is empty")


def _check_network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"ips: expected networks like 192.0.2.0/24, or addresses, not {text!r}") from error


def _check_server(text: str) -> None:
    host, _, port = text.partition(":")
    if not host or not (port.isdecimal() and 0 < int(port) <= 65535):
        raise ValueError(f"stun_servers: expected host:port, not {text!r}")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, or a bracket that is not closed
        return False
