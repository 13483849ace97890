"""The commands and their options, one function each; what a command does lives in a room of its own."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

app: typer.Typer = typer.Typer(
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


tenant: typer.Typer = typer.Typer(no_args_is_help=True, help="A local tenant: get tokens without an identity provider.")
app.add_typer(tenant, name="tenant")


@tenant.command()
def serve(
    file: Annotated[
        Path | None, typer.Argument(help="A setup in YAML; without one, what the state holds, or a sample.")
    ] = None,
    *,
    port: Annotated[int, typer.Option(help="0 takes any free one.", min=0, max=65_535)] = 8400,
    host: Annotated[str, typer.Option(help="An address of this machine.")] = "127.0.0.1",
    state: Annotated[
        Path | None, typer.Option(help="A SQLite file that keeps everything; made if it is not there.")
    ] = None,
    issuer: Annotated[str | None, typer.Option(help="Its name; its own address unless given.")] = None,
    allow_beyond_loopback: Annotated[
        bool, typer.Option("--allow-beyond-loopback", help="Let other machines reach it: with a --host for them.")
    ] = False,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets", help="Print client secrets, signing secrets and passwords.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what is registered as one JSON document.")] = False,
) -> None:
    """Serve a tenant on loopback until Ctrl-C; its log, a line for each token and request, goes to stderr.

    What is registered is kept in memory, or with --state in a file. Secrets that the setup does not give are random.
    """
    from .lines import console  # noqa: PLC0415
    from .tenant import Serving, run  # noqa: PLC0415

    serving = Serving(
        setup=file,
        state=state,
        host=host,
        port=port,
        issuer=issuer,
        allow_beyond_loopback=allow_beyond_loopback,
    )
    raise typer.Exit(run(console(), serving, as_json=as_json, show_secrets=show_secrets))


@tenant.command()
def sample() -> None:
    """Print the setup that is served without a file: a start for your own."""
    from .tenant import sample as text  # noqa: PLC0415

    typer.echo(text(), nl=False)


@app.command()
def token(
    *,
    domain: Annotated[str | None, typer.Option(envvar="AUTH0_DOMAIN", help="The tenant's domain.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Or any issuer's URL; it goes before a domain.")] = None,
    audience: Annotated[
        str | None, typer.Option(envvar=["AUTH0_AUDIENCE", "API_IDENTIFIER"], help="The identifier of the API.")
    ] = None,
    client_id: Annotated[
        str, typer.Option(envvar=["CLIENT_ID", "AUTH0_CLIENT_ID"], help="The application that asks.")
    ] = "",
    scope: Annotated[str | None, typer.Option(help="Separated by spaces; all that is granted unless given.")] = None,
    organization: Annotated[str | None, typer.Option(help="The id, or where allowed the name, of one.")] = None,
    secret_stdin: Annotated[
        bool, typer.Option("--secret-stdin", help="Read the secret from the first line of standard input.")
    ] = False,
    basic: Annotated[bool, typer.Option("--basic", help="Send the secret by HTTP Basic, not in the body.")] = False,
    allow_http: Annotated[
        bool, typer.Option("--allow-http", help="Take http beyond loopback: in a network that nobody else can read.")
    ] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the token and nothing else: TOKEN=$(…).")] = False,
    full: Annotated[bool, typer.Option("--full", help="Print the token whole, not only its beginning.")] = False,
    api_url: Annotated[
        str, typer.Option(help="Where your API answers, for the call to it.")
    ] = "http://path_to_your_api/",
) -> None:
    """Get a token as a machine gets one (client credentials), from a local tenant or a real issuer.

    Prints the request as curl, the answer, and the call to the API. The secret comes from CLIENT_SECRET or
    AUTH0_CLIENT_SECRET, from standard input, or from a prompt: never from the command line, which every user of a
    machine can read. Exits with 1 when the issuer refuses, with 3 when it gives no answer.
    """
    from jwtgate.core.errors import SettingsError  # noqa: PLC0415

    from .lines import console  # noqa: PLC0415
    from .token import Wanted, find_secret, issuer_of, run  # noqa: PLC0415

    try:
        named = issuer_of(issuer, domain, allow_http=allow_http)
        if not client_id:
            raise SettingsError("client_id", "must be given: --client-id or CLIENT_ID")
        secret, variable = find_secret(from_stdin=secret_stdin)
    except SettingsError as fault:
        typer.echo(f"jwtgate: {fault}", err=True)
        raise typer.Exit(2) from fault
    wanted = Wanted(
        issuer=named,
        client_id=client_id,
        client_secret=secret,
        secret_variable=variable,
        audience=audience,
        scope=scope,
        organization=organization,
        basic=basic,
    )
    raise typer.Exit(run(console(), wanted, raw=raw, full=full, api_url=api_url))


@app.command()
def doctor(
    *,
    settings: Annotated[
        str | None, typer.Option(help="module:name of your API's ApiSettings; the environment's unless given.")
    ] = None,
    domain: Annotated[str | None, typer.Option(help="Or look at a tenant's domain.")] = None,
    issuer: Annotated[str | None, typer.Option(help="Or at any issuer's URL.")] = None,
    algorithm: Annotated[
        list[str] | None, typer.Option(help="With --domain or --issuer: the API's, if not RS256. May be repeated.")
    ] = None,
    allow_http: Annotated[bool, typer.Option("--allow-http", help="With these: take http beyond loopback.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Hold the settings against reality, and say what to change.

    Asks each issuer as a verifier would: its metadata and its name, its keys and their algorithms, the difference of
    the clocks, how long it takes, and what stands between. Exits with 1 where something must be changed.
    """
    from jwtgate.core.errors import SettingsError  # noqa: PLC0415

    from .doctor import run, settings_of  # noqa: PLC0415
    from .lines import console  # noqa: PLC0415

    try:
        found = settings_of(
            named=settings,
            issuer=issuer,
            domain=domain,
            algorithms=algorithm or (),
            allow_http=allow_http,
        )
    except SettingsError as fault:
        typer.echo(f"jwtgate: {fault}", err=True)
        raise typer.Exit(2) from fault
    raise typer.Exit(run(console(), found, as_json=as_json))


@app.command()
def explain(
    token: Annotated[
        str,
        typer.Argument(
            help="The token, or - for standard input, which keeps it out of the shell's history. Authorization header"
            " lines are understood too.",
            show_default="-",
        ),
    ] = "-",
    *,
    domain: Annotated[str | None, typer.Option(help="The Auth0 tenant's domain.")] = None,
    issuer: Annotated[str | None, typer.Option(help="The exact iss of any other issuer.")] = None,
    identifier: Annotated[str | None, typer.Option(help="This API's identifier, exactly.")] = None,
    algorithm: Annotated[str | None, typer.Option(help="This API's signing algorithm.")] = None,
    profile: Annotated[str | None, typer.Option(help="auth0 or rfc9068; either unless set.")] = None,
    permissions_in_token: Annotated[
        bool | None,
        typer.Option(
            "--permissions-in-token/--no-permissions-in-token",
            help="Add Permissions in the Access Token is switched on for this API.",
        ),
    ] = None,
    leeway: Annotated[str | None, typer.Option(help="Seconds of clock difference that are forgiven.")] = None,
    require: Annotated[list[str] | None, typer.Option(help="What the route requires; may be repeated.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no keys: the signature stays unchecked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")] = False,
) -> None:
    """Say why a token is refused, and what to change.

    Runs the same checks as the API, with the settings of the environment (AUTH0_DOMAIN, AUTH0_AUDIENCE, JWTGATE_...)
    and of the options. The issuer is asked for its public keys; the token is sent nowhere and printed nowhere. The
    secret of an HS256 API comes from JWTGATE_SIGNING_SECRET. Exits with 0 if the token is accepted, 1 if not, 2 if the
    settings are wrong.
    """
    from jwtgate.core.errors import SettingsError  # noqa: PLC0415

    from .explain import read, run, settings_of  # noqa: PLC0415
    from .lines import console  # noqa: PLC0415

    flag = None if permissions_in_token is None else str(permissions_in_token)
    given = {
        "--domain": domain,
        "--issuer": issuer,
        "--identifier": identifier,
        "--algorithm": algorithm,
        "--profile": profile,
        "--permissions-in-token": flag,
        "--leeway": leeway,
    }
    try:
        settings = settings_of(given)
        status = run(console(), read(token), settings, require or (), offline=offline, as_json=as_json)
    except SettingsError as error:
        typer.echo(f"jwtgate: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(status)
