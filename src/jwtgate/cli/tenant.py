"""`jwtgate tenant`: a local tenant on loopback, set up from a file, until it is told to stop."""

from __future__ import annotations

import logging
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from jwtgate.core.errors import SettingsError
from jwtgate.core.settings import Issuer
from jwtgate.tenant import (
    Api,
    Application,
    ClientGrant,
    OpenPermissionsWarning,
    StateFile,
    Tenant,
    TenantError,
    User,
)
from jwtgate.tenant.server import Server

from .lines import QUIET, STRONG, aligned, line
from .staying import log_on_stderr, stay
from .token import Wanted, command, request_as_curl
from .words import settings_of

PORT = 8400  # unless told: the same each time, so that an API's settings can name it
LOG: Final = "%(asctime)s %(levelname)-7s %(message)s"
SAMPLE: Final = "sample.yaml"
SHOWN = 5  # permissions of one API in one line

logger: logging.Logger = logging.getLogger("jwtgate.tenant")


@dataclass(frozen=True, slots=True)
class Serving:
    """How a tenant is to be served. setup: the file; None: what the state holds or, with nothing in it, the sample."""

    setup: Path | None = None
    state: Path | None = None
    host: str = "127.0.0.1"
    port: int = PORT
    issuer: str | None = None
    allow_beyond_loopback: bool = False


def run(console: Console, serving: Serving, *, as_json: bool = False, show_secrets: bool = False) -> int:
    """Serve until SIGINT or SIGTERM, with the log on stderr; return the exit status, 2 for what cannot be served."""
    with log_on_stderr(LOG):
        try:
            with _state(serving.state) as state:
                tenant, is_sample = _tenant(serving, state)
                with _serve(tenant, serving):
                    registered = _registered(tenant, with_secrets=show_secrets)
                    if as_json:
                        stay(lambda: console.print_json(data=registered))
                    else:
                        stay(lambda: _show(console, serving, registered, is_sample=is_sample))
        except TenantError as fault:
            sys.stderr.write(f"jwtgate: {fault}\n")
            return 2
    return 0


def sample() -> str:
    """The setup of a tenant that is served without one, as YAML."""
    return files("jwtgate.tenant").joinpath(SAMPLE).read_text(encoding="utf-8")


def _state(path: Path | None) -> AbstractContextManager[StateFile | None]:
    return nullcontext() if path is None else StateFile(path)


def _tenant(serving: Serving, state: StateFile | None) -> tuple[Tenant, bool]:
    """The tenant, and whether it was set up from the sample."""
    with warnings.catch_warnings():
        # The log says it too, in a line of its own.
        warnings.simplefilter("ignore", OpenPermissionsWarning)
        if serving.setup is not None:
            return Tenant.from_file(serving.setup, issuer=serving.issuer, keeper=state), False
        kept = Tenant(serving.issuer, keeper=state)
        if any(not api.is_system for api in kept.apis):
            return kept, False
        with as_file(files("jwtgate.tenant").joinpath(SAMPLE)) as path:
            return Tenant.from_file(path, issuer=serving.issuer, keeper=state), True


def _serve(tenant: Tenant, serving: Serving) -> Server:
    """What Python would warn of becomes a line of the log."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        server = tenant.serve(serving.host, serving.port, allow_beyond_loopback=serving.allow_beyond_loopback)
    for each in said:
        logger.warning("%s", each.message)
    return server


# ----------------------------------------------------------------------------------------------- what is registered


def _registered(tenant: Tenant, *, with_secrets: bool) -> dict[str, Any]:
    secrets = Secrets(shown=with_secrets)
    return {
        "issuer": tenant.issuer,
        "apis": [_api(api, secrets) for api in tenant.apis],
        "applications": [_application(tenant, each, secrets) for each in tenant.applications],
        "users": [_user(tenant, user, secrets) for user in tenant.users],
        "organizations": [
            {"name": each.name, "organization_id": each.id, "members": len(each.members)}
            for each in tenant.organizations
        ],
        "try": [{"what": what, "line": shell} for what, shell in _tries(tenant, secrets)],
    }


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets stand in what is printed only where somebody asked for them."""

    shown: bool

    def __call__(self, name: str, value: str | None) -> dict[str, str]:
        return {name: value} if self.shown and value is not None else {}


def _api(api: Api, secrets: Secrets) -> dict[str, Any]:
    return {
        "identifier": api.identifier,
        "name": api.name,
        "settings": settings_of(api),
        "permissions": list(api.permissions),
        **({} if api.token_encryption is None else api.token_encryption.resource_server()),
        **secrets("signing_secret", api.signing_secret),
    }


def _application(tenant: Tenant, application: Application, secrets: Secrets) -> dict[str, Any]:
    grants = [grant for grant in tenant.grants if grant.client_id == application.client_id]
    identifiers = {api.id: api.identifier for api in tenant.apis}
    return {
        "name": application.name,
        "kind": application.kind,
        "client_id": application.client_id,
        **({"require_proof_of_possession": True} if application.require_proof_of_possession else {}),
        **({} if application.is_public else secrets("client_secret", application.client_secret)),
        "grants": [
            {
                "api": identifiers[grant.api_id],
                "subject_type": grant.subject_type,
                "permissions": list(grant.permissions),
            }
            for grant in grants
        ],
    }


def _user(tenant: Tenant, user: User, secrets: Secrets) -> dict[str, Any]:
    return {
        "email": user.email,
        "user_id": user.user_id,
        "roles": [role.name for role in tenant.roles if role.id in user.roles],
        **secrets("password", user.password),
    }


def _tries(tenant: Tenant, secrets: Secrets) -> Iterator[tuple[str, str]]:
    """What each line does, and the line for a shell."""
    yield "What the tenant says of itself", shlex.join(["curl", _reachable(tenant.issuer).discovery_url])
    best = max(_machines(tenant), key=lambda found: len(found[2].permissions), default=None)
    if best is None:
        return
    application, api, _ = best
    wanted = Wanted(
        issuer=_reachable(tenant.issuer),
        client_id=application.client_id,
        client_secret=application.client_secret,
        audience=api.identifier,
        basic=application.token_endpoint_auth == "client_secret_basic",
    )
    variable = wanted.secret_variable
    if secrets.shown:
        yield f"The secret of {application.name}", f"export {variable}={shlex.quote(application.client_secret)}"
    else:
        yield f"The secret of {application.name} (--show-secrets shows it)", f"read -rs {variable} && export {variable}"
    yield f"A token for {application.name}", request_as_curl(tenant.issuer + "oauth/token", wanted)
    yield "The same, step by step", command(wanted).removesuffix(" --raw")


def _reachable(url: str) -> Issuer:
    """`http` beyond loopback only where it must be."""
    try:
        return Issuer(url)
    except SettingsError:
        return Issuer(url, allow_http=True)


def _machines(tenant: Tenant) -> Iterator[tuple[Application, Api, ClientGrant]]:
    """Which application may have tokens of its own, and for which API."""
    applications = {each.client_id: each for each in tenant.applications}
    apis = {api.id: api for api in tenant.apis if not api.is_system}
    for grant in tenant.grants:
        application = applications[grant.client_id]
        may = grant.subject_type == "client" and "client_credentials" in application.grant_types
        if may and grant.api_id in apis and not _must_show_a_key(application, apis[grant.api_id]):
            yield application, apis[grant.api_id], grant


def _must_show_a_key(application: Application, api: Api) -> bool:
    """Then a line for a shell is not enough."""
    policy = api.proof_of_possession
    required = policy is not None and policy.is_required_of(public=application.is_public)
    return required or application.require_proof_of_possession


# ------------------------------------------------------------------------------------------------------ how it looks


def _show(console: Console, serving: Serving, registered: Mapping[str, Any], *, is_sample: bool) -> None:
    line(console, f"Tenant {registered['issuer']}", STRONG)
    line(console, _whence(serving, is_sample=is_sample), QUIET)
    for title, blocks in _blocks(registered):
        if blocks:
            line(console)
            line(console, title, STRONG)
        for name, rows in blocks:
            line(console, f"  {name}")
            for row in aligned(rows):
                line(console, f"    {row}")
    line(console)
    line(console, "Ctrl-C stops it. Try, in another terminal:")
    for each in registered["try"]:
        line(console)
        line(console, f"# {each['what']}", QUIET)
        line(console, each["line"])


def _whence(serving: Serving, *, is_sample: bool) -> str:
    setup = "the sample, which `jwtgate tenant sample` prints" if is_sample else serving.setup
    state = "in memory, until it stops" if serving.state is None else serving.state
    return (f"Setup: {setup}. " if setup else "") + f"State: {state}."


Block = tuple[str, list[tuple[str, str]]]  # what it is called, and what there is to say of it


def _blocks(registered: Mapping[str, Any]) -> Iterator[tuple[str, list[Block]]]:
    for section, block in BLOCKS.items():
        yield section.capitalize().replace("Apis", "APIs"), [block(each) for each in registered[section]]


def _api_block(api: Mapping[str, Any]) -> Block:
    said = {
        "name": api["name"],
        "settings": api["settings"],
        "permissions": _list(api["permissions"]),
        "encryption key": _key(api.get("encryption_key", {})),
        "signing secret": api.get("signing_secret"),
    }
    return api["identifier"], _present(said)


def _application_block(application: Mapping[str, Any]) -> Block:
    said = {
        "kind": application["kind"],
        "client id": application["client_id"],
        "tokens": "always bound to its sender" if "require_proof_of_possession" in application else None,
        "client secret": application.get("client_secret"),
    }
    grants = [
        (
            "its users may" if grant["subject_type"] == "user" else "may",
            f"{_list(grant['permissions'])} ({grant['api']})",
        )
        for grant in application["grants"]
    ]
    return application["name"], [*_present(said), *grants]


def _user_block(user: Mapping[str, Any]) -> Block:
    said = {"user id": user["user_id"], "password": user.get("password"), "roles": ", ".join(user["roles"])}
    return user["email"], _present(said)


def _organization_block(organization: Mapping[str, Any]) -> Block:
    return organization["name"], [("id", organization["organization_id"]), ("members", str(organization["members"]))]


BLOCKS: Final[Mapping[str, Callable[[Mapping[str, Any]], Block]]] = {
    "apis": _api_block,
    "applications": _application_block,
    "users": _user_block,
    "organizations": _organization_block,
}


def _present(said: Mapping[str, str | None]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in said.items() if value]


def _key(key: Mapping[str, str]) -> str:
    """As the Dashboard tells it: by its names, if it has any, and its thumbprint."""
    return " ".join(key[name] for name in ("name", "kid", "thumbprint_sha256") if name in key)


def _list(permissions: Sequence[str]) -> str:
    """The Management API has more than anybody wants to read here."""
    more = len(permissions) - SHOWN
    return " ".join(permissions[:SHOWN]) + (f" and {more} more" if more > 0 else "") or "no permissions"
