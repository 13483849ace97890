"""The Auth0 and the RFC 9068 access-token profile: for each, the checks in their order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import claims as check
from .claims import Claims
from .errors import HeaderRejected
from .settings import Policy
from .values import Profile

Check = Callable[[Claims, Policy, float], None]

_WHEN: Final[tuple[Check, ...]] = (check.expiry, check.not_before, check.issued_at, check.lifetime)
_WHO: Final[tuple[Check, ...]] = (check.issuer, check.audience, check.subject, check.client)
_WHAT: Final[tuple[Check, ...]] = (check.permissions, check.grant_type, check.organization, check.actor)

# What it is → when → by whom and for whom → allowed what → bound to what.
PROFILES: Final[dict[Profile, tuple[Check, ...]]] = {
    "auth0": (
        check.kind,
        *_WHEN,
        *_WHO,
        check.optional_token_id,
        check.scope_or_list,
        *_WHAT,
        check.confirmation,
    ),
    # RFC 9068 section 2.2: also client_id and jti are required.
    "rfc9068": (
        check.kind,
        *_WHEN,
        *_WHO,
        check.client_id,
        check.token_id,
        check.scope,
        *_WHAT,
        check.confirmation,
    ),
}

# RFC 9068 section 2.1 and RFC 7519 section 5.1; media types compare without case (RFC 7515 section 4.1.9).
TYPES: Final[dict[str | None, Profile]] = {"at+jwt": "rfc9068", "jwt": "auth0"}


def profile_of(typ: str | None, policy: Policy) -> Profile:
    """Whose rules a token follows, by the `typ` of its header (RFC 8725 section 3.11).

    Raises HeaderRejected: for any other `typ` and for none, unless the issuer's `accept_typ` names it; and for that of
    a profile which this API's tokens do not have.
    """
    name = None if typ is None else typ.lower().removeprefix("application/")
    if name in policy.accept_typ:
        return policy.profile or TYPES.get(name, "auth0")
    profile = TYPES.get(name)
    if profile is None or (policy.profile is not None and profile != policy.profile):
        wanted = [known for known, of in TYPES.items() if policy.profile in (None, of)]
        raise HeaderRejected("typ", " or ".join(str(known) for known in wanted), typ)
    return profile
