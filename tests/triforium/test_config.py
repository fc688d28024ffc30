"""What an operator may write, and what is said about the rest."""

from pathlib import Path

import pytest

from sfu.settings import DataSettings, Limits, PlayoutDelay, RoomSettings, RoomWishes
from triforium.config import Choice, Config, ConfigError, LoggingConfig, RtcConfig
from triforium.loading import load

SECRET = "a secret of more than thirty-two letters"
KEYS = f"keys: {{key: {SECRET}}}\n"


def loaded(text: str) -> Config:
    config, warnings = load(environment={"LIVEKIT_CONFIG": KEYS + text})
    assert warnings == []
    return config


def refusal(text: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(environment={"LIVEKIT_CONFIG": text} | environment)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_nothing_but_keys_means_the_defaults() -> None:
    config = loaded("")
    assert config == Config(keys={"key": SECRET})
    assert (config.port, list(config.rtc.udp_ports), config.bind_addresses) == (7880, [7882], ())
    assert config.room.auto_create
    assert config.room.settings == RoomSettings(empty_timeout_seconds=300, departure_timeout_seconds=20)
    assert config.limit.limits == Limits()


def test_all_that_can_be_set() -> None:
    config = loaded("""
port: 80
bind_addresses: [127.0.0.1, "::1"]
rtc:
  udp_port: 9000
  node_ip: 192.0.2.7
  enable_loopback_candidate: true
  datachannel_slow_threshold: 1000
  datachannel_lossy_target_latency: 1m0.5s
  datachannel_data_track_target_latency: 0s
room:
  auto_create: false
  empty_timeout: 10
  departure_timeout: 0
  max_participants: 3
  room_configurations: {short: {empty_timeout: 1, metadata: brief, max_playout_delay: 90}}
  playout_delay: {enabled: true, min: 100, max: 2000}
enable_data_tracks: false
enable_participant_data_blob: true
webhook: {urls: ["https://[::1]:8443/hook"], api_key: key}
limit: {max_metadata_size: 1, max_attributes_size: 2, max_participant_name_length: 5}
logging: {level: debug, json: true}
""")
    assert (config.port, config.bind_addresses) == (80, ("127.0.0.1", "::1"))
    assert (list(config.rtc.udp_ports), config.rtc.node_ips) == ([9000], ("192.0.2.7",))
    assert config.rtc.enable_loopback_candidate
    assert config.data == DataSettings(1000, 60.5, 0, has_tracks=False, has_blobs=True)
    assert not config.room.auto_create
    assert config.room.settings == RoomSettings(
        empty_timeout_seconds=10,
        departure_timeout_seconds=0,
        max_participants=3,
        playout_delay=PlayoutDelay(100, 2000),
    )
    assert config.room.presets == {
        "short": RoomWishes(empty_timeout_seconds=1, metadata="brief", playout_delay=PlayoutDelay(0, 90))
    }
    assert config.webhook.urls == ("https://[::1]:8443/hook",)
    assert config.limit.limits == Limits(metadata_bytes=1, attributes_bytes=2, name_bytes=5)
    assert config.logging == LoggingConfig(level="debug", json=True)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("udp_port: 7000-7003", [7000, 7001, 7002, 7003]),
        ("port_range_start: 7000\n  port_range_end: 7001", [7000, 7001]),
        ("port_range_start: 7000", [7000]),
        ("udp_port: 0", [0]),
    ],
)
def test_udp_ports_are_tried_in_order(text: str, ports: list[int]) -> None:
    assert list(loaded(f"rtc:\n  {text}").rtc.udp_ports) == ports


@pytest.mark.parametrize(
    "text", ["192.0.2.7,2001:db8::7", "[192.0.2.7, '2001:db8::7']", "{v4: 192.0.2.7, v6: '2001:db8::7'}"]
)
def test_a_node_may_have_an_address_of_each_family(text: str) -> None:
    assert loaded(f"rtc: {{node_ip: {text if text[0] in '[{' else repr(text)}}}").rtc.node_ips == (
        "192.0.2.7",
        "2001:db8::7",
    )


def test_an_empty_section_means_its_defaults() -> None:
    assert loaded("rtc:\nroom:\nport:\nlogging: {level: }") == Config(keys={"key": SECRET})


def test_a_key_that_only_livekit_has_is_one_warning_each() -> None:
    text = KEYS + "redis: {address: 127.0.0.1}\nrtc: {tcp_port: 7881, use_mdns: true}\n"
    config, warnings = load(environment={"LIVEKIT_CONFIG": text})
    assert config == Config(keys={"key": SECRET})
    assert warnings == [
        f"LIVEKIT_CONFIG: {path} is LiveKit's, and has no effect here"
        for path in ("redis", "rtc.tcp_port", "rtc.use_mdns")
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prot: 80", "unknown key prot; did you mean port?"),
        ("rtc: {udp_prot: 80}", "unknown key rtc.udp_prot; did you mean rtc.udp_port?"),
        ("rtc: {tcp_prot: 80}", "unknown key rtc.tcp_prot; did you mean rtc.tcp_port?"),
        ("zzzzzz: 1", "unknown key zzzzzz"),
        ("port: high", "port: Expected int, got str"),
        ("port: 65536", "port: Expected int <= 65535"),
        ("rtc: 5", "rtc: Expected object, got int"),
        ("rtc: {udp_port: low-high}", "rtc: udp_port: expected a port or a range like 7882-7892, not 'low-high'"),
        ("rtc: {udp_port: 9-8}", "rtc: the range of UDP ports is empty"),
        ("rtc: {node_ip: here}", "rtc: node_ip: expected an IP address, not 'here'"),
        (
            "rtc: {ips: {includes: [here]}}",
            "rtc: ips: expected networks like 192.0.2.0/24, or addresses, not 'here'",
        ),
        (
            "rtc: {interfaces: {include: [eth0]}}",
            "unknown key rtc.interfaces.include; did you mean rtc.interfaces.includes?",
        ),
        ("rtc: {stun_servers: [stun.test]}", "rtc: stun_servers: expected host:port, not 'stun.test'"),
        (
            "rtc: {datachannel_lossy_target_latency: 5 apples}",
            "rtc: datachannel_lossy_target_latency: expected a duration like 100ms, not '5 apples'",
        ),
        ("bind_addresses: [here]", "bind_addresses: expected an IP address, not 'here'"),
        ("logging: {level: loud}", "logging.level: Invalid enum value 'loud'"),
        ("keys: {a: 12}", "keys[...]: Expected str, got int"),
        ("- 1", "expected `name: value` lines, got list"),
        ("? [1]\n: 2", "found unhashable key"),
        ('keys: {"": secret}', "keys: a key is empty"),
        ('keys: {ours: " "}', "keys: the secret of 'ours' is empty"),
        ("port: " + "9" * 5000, "line 1: what looks like int is none that can be read"),
        ("port: 2020-99-99", "line 1: what looks like timestamp is none that can be read"),
        ("port: !!bool x", "line 1: what looks like bool is none that can be read"),
        ("port: !!timestamp x", "line 1: what looks like timestamp is none that can be read"),
        ("port: " + "[" * 3000, "nested too deeply"),
    ],
)
def test_what_cannot_be_is_one_clear_line(text: str, reason: str) -> None:
    message = refusal(text, LIVEKIT_KEYS=f"key: {SECRET}")
    assert message.startswith("LIVEKIT_CONFIG")
    assert message.endswith(reason)


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"key:{SECRET}",
        f"- {SECRET}",
        "keys: *a-secret-of-more",
        "keys: {key: !a-secret-of-more x}",
        f"keys: {SECRET}",
        f"keys: [{SECRET}]",
        "webhook: {urls: ['ftp://us:a-secret-of-more@host/']}",
        "webhook: {urls: ['us:a-secret-of-more@host']}",
    ],
)
def test_what_is_refused_shows_no_secret(text: str) -> None:
    for message in (refusal(text), refusal(text, LIVEKIT_KEYS=f"key: {SECRET}")):
        assert "secret" not in message


def test_a_key_that_comes_twice_is_refused() -> None:
    assert refusal("port: 1\nrtc: {}\nport: 2") == "LIVEKIT_CONFIG, line 3: port comes twice"


def test_broken_yaml_names_its_line() -> None:
    assert refusal("port: 1\nrtc: [").startswith("LIVEKIT_CONFIG, line ")


def test_keys_must_be_given() -> None:
    assert refusal("port: 80").startswith("no keys: ")
    assert refusal("keys: {}").startswith("no keys: ")


def test_keys_may_come_by_environment_and_are_added() -> None:
    config, _ = load(environment={"LIVEKIT_CONFIG": KEYS, "LIVEKIT_KEYS": f"second: {SECRET}"})
    assert list(config.keys) == ["key", "second"]
    assert refusal(KEYS, LIVEKIT_KEYS="second:nospace") == ("LIVEKIT_KEYS: expected `name: value` lines, got str")


def test_the_file_goes_before_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "triforium.yaml"
    file.write_text(KEYS + "port: 1\n")
    config, _ = load(file=file, environment={"LIVEKIT_CONFIG": "port: 2"})
    assert config.port == 1


def test_a_file_that_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nosuch: cannot be read: No such file or directory"):
        load(file=tmp_path / "nosuch")
    (tmp_path / "binary").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="binary: cannot be read: not UTF-8 text"):
        load(file=tmp_path / "binary")


def test_flags_go_before_all() -> None:
    config, _ = load(
        environment={"LIVEKIT_CONFIG": KEYS + "port: 1\nrtc: {port_range_start: 5, port_range_end: 9}"},
        port=0,
        udp_port=0,
    )
    assert (config.port, list(config.rtc.udp_ports)) == (0, [0])


def test_development_needs_nothing_and_stays_on_this_machine() -> None:
    config, warnings = load(is_development=True)
    assert warnings == []
    assert config == Config(
        bind_addresses=("127.0.0.1",),
        keys={"devkey": "secret"},
        rtc=RtcConfig(enable_loopback_candidate=True),
        development=True,
    )


def test_development_defaults_give_way_to_what_is_set() -> None:
    config, _ = load(environment={"LIVEKIT_CONFIG": KEYS + "bind_addresses: ['0.0.0.0']"}, is_development=True)
    assert (config.bind_addresses, config.keys) == (("0.0.0.0",), {"key": SECRET})


def test_short_secrets_are_one_warning() -> None:
    text = "keys: {one: short, two: also short}"
    _, warnings = load(environment={"LIVEKIT_CONFIG": text})
    assert warnings == ["secrets should have 32 characters or more: that of one, two has less"]
    assert load(environment={"LIVEKIT_CONFIG": text}, is_development=True)[1] == []


@pytest.mark.parametrize(
    ("webhook", "reason"),
    [
        ("{urls: ['https://back-end.test/']}", "expected one of `keys`"),
        ("{urls: ['https://back-end.test/'], api_key: another}", "expected one of `keys`"),
        ("{urls: [back-end.test], api_key: key}", "urls: expected http:// or https:// and a host"),
        ("{urls: ['https://'], api_key: key}", "urls: expected http:// or https:// and a host"),
        ("{urls: ['http://host:port/'], api_key: key}", "urls: expected http:// or https:// and a host"),
    ],
)
def test_webhooks_want_a_key_of_ours_and_urls(webhook: str, reason: str) -> None:
    assert reason.replace("`", "") in refusal(f"keys: {{key: {SECRET}}}\nwebhook: {webhook}")


def test_addresses_are_chosen_and_the_outer_one_asked_for_under_livekits_names() -> None:
    rtc = loaded(
        "rtc: {use_external_ip: true, stun_servers: ['stun.test:3478'], interfaces: {includes: [eth0]},"
        " ips: {excludes: [10.0.0.0/8]}}"
    ).rtc
    assert (rtc.use_external_ip, rtc.stun_servers) == (True, ("stun.test:3478",))
    assert (rtc.interfaces, rtc.ips) == (Choice(includes=("eth0",)), Choice(excludes=("10.0.0.0/8",)))
