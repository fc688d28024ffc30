"""How log records look: coloured lines for people, JSON for machines. Only the command line sets this up."""

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor

from sfu.room.participant import current_participant
from sfu.room.room import current_room
from triforium.config import LoggingConfig

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def set_up_logging(config: LoggingConfig) -> None:
    """Render all of the process's records to standard error."""
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_ids,
    ]
    last: list[Processor]
    if config.json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], foreign_pre_chain=before
        )
    )
    logging.basicConfig(level=_LEVELS[config.level], handlers=[handler], force=True)


def _add_ids(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Say whose work the task does that logs; the packet path runs in the endpoint's task, which is nobody's."""
    if room := current_room.get():
        event["room"] = room
    if participant := current_participant.get():
        event["participant"] = participant
    return event
