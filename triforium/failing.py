"""How a command says that it cannot do what it was asked."""

import sys
from typing import NoReturn

import click


def fail(reason: str) -> NoReturn:
    """Say why in one line, and end the process with status 2."""
    click.echo(f"triforium: {reason}", err=True)
    sys.exit(2)


def not_empty(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    """Refuse an option that says nothing: a variable that was to hold it is set, to nothing."""
    if not text.strip():
        raise click.BadParameter("is empty")
    return text
