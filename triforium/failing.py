"""How a command says that it cannot do what it was asked."""

import sys
from typing import NoReturn

import click


def fail(reason: str) -> NoReturn:
    """Say why in one line, and end the process with status 2."""
    click.echo(f"triforium: {reason}", err=True)
    sys.exit(2)
