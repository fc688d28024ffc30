"""How a configuration is put together: from YAML, the environment and flags. Nothing else reads the environment."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import yaml
from msgspec import Struct

from triforium.config import DEVELOPMENT_KEYS, Config, ConfigError
from triforium.livekit_keys import LIVEKIT_KEYS_WE_LACK


def load(
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    is_development: bool = False,
    port: int | None = None,
    udp_port: int | None = None,
    is_https: bool = False,
) -> tuple[Config, list[str]]:
    """Put a configuration together: defaults, then the file or LIVEKIT_CONFIG, LIVEKIT_KEYS, and the flags.

    Returns:
        The configuration, and warnings for the operator.

    Raises:
        ConfigError: if it cannot be read, has an unknown key or a value that does not fit, or no keys.
    """
    environment = environment or {}
    if file is not None:
        origin, text = str(file), _read(file)
    else:
        origin, text = "LIVEKIT_CONFIG", environment.get("LIVEKIT_CONFIG", "")
    raw = _parse_yaml(text, origin)
    lacked: list[str] = []
    known = _walk(raw, Config, origin, "", lacked)
    if keys := _parse_yaml(environment.get("LIVEKIT_KEYS", ""), "LIVEKIT_KEYS"):
        known["keys"] = _section(known, "keys") | keys
    if is_development:
        known["development"] = True
    if is_https:
        known = {"bind_addresses": []} | known  # phones are on the network, not on this machine
        known["https"] = _section(known, "https") | {"enabled": True}
    if known.get("development") is True:
        known = {"bind_addresses": ["127.0.0.1"], "keys": DEVELOPMENT_KEYS} | known
        known["rtc"] = {"enable_loopback_candidate": True} | _section(known, "rtc")
    if port is not None:
        known["port"] = port
    if udp_port is not None:
        rtc = {name: value for name, value in _section(known, "rtc").items() if not name.startswith("port_range")}
        known["rtc"] = rtc | {"udp_port": udp_port}
    config = _convert(known, origin)
    if not config.keys:
        raise ConfigError(
            "no keys: set `keys` in the configuration, or LIVEKIT_KEYS; `triforium generate-keys` makes a pair"
        )
    warnings = [f"{origin}: {path} is LiveKit's, and has no effect here" for path in lacked]
    return config, warnings + config.warnings


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read: {reason}") from error


_QUOTED: Final = re.compile(r"""(['"])[^<].{2,}\1""")
"""Words of the file in a message about its YAML, which may be a secret; signs and the parser's <tokens> are told."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002  # as the base class has it
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} comes twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002  # as the base class has it
        try:
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, ValueError) as error:  # what PyYAML's own readers let out
            problem = f"what looks like {node.tag.rpartition(':')[2]} is none that can be read"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


def _parse_yaml(text: str, origin: str) -> dict[str, object]:
    try:
        raw = yaml.load(text, _UniqueKeyLoader)  # noqa: S506  # it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{origin}{line}: {_QUOTED.sub('...', error.problem or 'not YAML')}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{origin}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{origin}: nested too deeply") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict):  # which is not shown: it may be a pair of keys that was written otherwise
        raise ConfigError(f"{origin}: expected `name: value` lines, got {type(raw).__name__}")
    return {str(key): value for key, value in raw.items()}


def _walk(
    raw: Mapping[str, object], shape: type[Struct], origin: str, path: str, lacked: list[str]
) -> dict[str, object]:
    """Take what we know from a section; what is empty means its default."""
    fields = {each.name: each.type for each in msgspec.structs.fields(shape)}
    known: dict[str, object] = {}
    for name, value in raw.items():
        dotted = f"{path}{name}"
        if name in fields:
            inner = fields[name]
            if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, Struct):
                known[name] = _walk(value, inner, origin, f"{dotted}.", lacked)
            elif value is not None:
                known[name] = value
        elif dotted in LIVEKIT_KEYS_WE_LACK:
            lacked.append(dotted)
        else:
            raise _unknown_key(dotted, path, fields, origin)
    return known


def _unknown_key(dotted: str, path: str, fields: Mapping[str, object], origin: str) -> ConfigError:
    choices = {path + name for name in fields} | LIVEKIT_KEYS_WE_LACK
    nearest = difflib.get_close_matches(dotted, choices, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else ""
    return ConfigError(f"{origin}: unknown key {dotted}{hint}")


def _section(known: Mapping[str, object], name: str) -> dict[str, object]:
    section = known.get(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{name}: expected `name: value` lines, got {type(section).__name__}")
    return section


def _convert(known: dict[str, object], origin: str) -> Config:
    try:
        return msgspec.convert(known, Config)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        where = f"{path.rstrip('`')}: " if path else ""
        raise ConfigError(f"{origin}: {where}{problem.replace('`', '')}") from error
