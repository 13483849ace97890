"""The commands and their options, one function each; what a command does lives in a room of its own."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    # Its tracebacks show local variables, and those hold tokens.
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jwtgate {version('jwtgate')}")
        raise typer.Exit


@app.callback()
def jwtgate(
    _: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Validate JWT access tokens for Python APIs."""


@app.command()
def demo(
    serve: Annotated[
        bool, typer.Option("--serve", help="Leave tenant and API running, with curl lines to try, until Ctrl-C.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """See an API being protected: good tokens, bad tokens, and what each is answered.

    Starts a tenant and a sample API on loopback, gets real tokens, and sends requests. Needs no account, no
    configuration and no network. Exits with 1 if any answer is not the expected one.
    """
    # Not above: what the demo needs, `--help` need not load.
    from .demo import run  # noqa: PLC0415
    from .lines import console  # noqa: PLC0415

    raise typer.Exit(run(console(), as_json=as_json, serve=serve))
