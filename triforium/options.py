"""Options that several of the commands have."""

from typing import Final

import click


def _not_empty(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Refuse an option that says nothing: a variable that was to hold it is set, to nothing."""
    if not text.strip():
        raise click.BadParameter("is empty")
    return text


API_KEY: Final = click.option(
    "--api-key", envvar="LIVEKIT_API_KEY", required=True, show_envvar=True, callback=_not_empty
)
API_SECRET: Final = click.option(
    "--api-secret", envvar="LIVEKIT_API_SECRET", required=True, show_envvar=True, callback=_not_empty
)
