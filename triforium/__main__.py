"""`python -m triforium`."""

from triforium.cli import main

main()
