"""`python -m jwtgate.cli`: the same as the command `jwtgate`."""

from . import main

main()
