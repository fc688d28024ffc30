"""Lines of SDP and the structure they make (RFC 8866 §5, §9); what they mean is not known here."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from rtp.errors import DecodeError

MAX_CHARACTERS: Final = 1 << 20
MAX_SECTIONS: Final = 256
"""What one description may hold. A browser's video section has some 200 lines, or 7 kB."""

Line: TypeAlias = tuple[str, str]
"""(type letter, value) of a line that is neither `m=` nor `a=`: plain pairs, as a description has hundreds."""

Attribute: TypeAlias = tuple[str, str]
"""(name, value) of an `a=` line; the value of a flag is empty."""

_MAX_PORT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class MediaSection:
    """An `m=` line with all that follows it. `lines` and `attributes` stand in the order they came."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    lines: tuple[Line, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class SessionDescription:
    """A whole description: what holds for the session, then its media sections.

    Attributes that nobody knows are kept, so that nothing is lost by reading and writing.
    """

    lines: tuple[Line, ...]
    attributes: tuple[Attribute, ...]
    sections: tuple[MediaSection, ...]

    def serialize(self) -> str:
        """Return the text, each line ended by CRLF."""
        texts = _texts(self.lines, self.attributes)
        for section in self.sections:
            texts.append(f"m={section.kind} {section.port} {section.protocol} {' '.join(section.formats)}")
            texts += _texts(section.lines, section.attributes)
        texts.append("")
        return "\r\n".join(texts)


def parse_sdp(text: str) -> SessionDescription:
    """Read a description. Line ends may be CRLF or LF; empty lines are skipped.

    Raises:
        DecodeError: if a line is not `<letter>=<value>`, if the first is not `v=0`, if an `m=` line lacks a part, or
            if the text is longer than `MAX_CHARACTERS` or has more than `MAX_SECTIONS` sections.
    """
    if len(text) > MAX_CHARACTERS:
        raise DecodeError(f"SDP of {len(text)} characters, more than {MAX_CHARACTERS}")
    text = text.replace("\r\n", "\n")
    if "\r" in text or "\0" in text:  # the two that no value may hold, besides the line's end
        raise DecodeError("SDP with a control character inside a line")
    blocks: list[tuple[str, list[Line], list[Attribute]]] = [("", [], [])]
    _, lines, attributes = blocks[0]
    for line in text.split("\n"):
        letter = line[:2]
        if letter == "a=":
            name, _, value = line[2:].partition(":")
            attributes.append((name, value))
        elif letter == "m=":
            lines, attributes = [], []
            blocks.append((line[2:], lines, attributes))
        elif len(line) >= 2 and letter[1] == "=":
            lines.append((letter[0], line[2:]))
        elif line:
            raise DecodeError("SDP line that is not <letter>=<value>")
    _, lines, attributes = blocks[0]
    if lines[:1] != [("v", "0")]:
        raise DecodeError("SDP that does not begin with v=0")
    if len(blocks) - 1 > MAX_SECTIONS:
        raise DecodeError(f"SDP of {len(blocks) - 1} media sections, more than {MAX_SECTIONS}")
    return SessionDescription(tuple(lines), tuple(attributes), tuple(_media_section(*block) for block in blocks[1:]))


def group(attributes: Iterable[Attribute]) -> dict[str, list[str]]:
    """Return the values of each attribute by its name, in order."""
    values: dict[str, list[str]] = {}
    for name, value in attributes:
        values.setdefault(name, []).append(value)
    return values


def parse_number(word: str, limit: int) -> int | None:
    """Return the decimal number that `word` is, None if it is none or is above `limit`."""
    # isdecimal alone lets other scripts' digits through, and int() of a very long text is slow or raises.
    if len(word) > 20 or not word.isascii() or not word.isdecimal():
        return None
    number = int(word)
    return number if number <= limit else None


def _media_section(media: str, lines: list[Line], attributes: list[Attribute]) -> MediaSection:
    # m=<media> <port>[/<number of ports>] <proto> <fmt> …
    words = media.split()
    if len(words) < 4:
        raise DecodeError("SDP media line without its four parts")
    kind, port_text, protocol, *formats = words
    port = parse_number(port_text.partition("/")[0], _MAX_PORT)
    if port is None:
        raise DecodeError("SDP media line whose port is no port")
    return MediaSection(kind, port, protocol, tuple(formats), tuple(lines), tuple(attributes))


def _texts(lines: tuple[Line, ...], attributes: tuple[Attribute, ...]) -> list[str]:
    texts = [f"{letter}={value}" for letter, value in lines]
    texts += [f"a={name}:{value}" if value else f"a={name}" for name, value in attributes]
    return texts
