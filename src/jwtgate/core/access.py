"""Who is calling, and what they may do: the access token, and requirements that it meets or does not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NoReturn

from .challenge import answer
from .claims import client_of, scopes_of
from .compact import Signed
from .errors import AuthError, InsufficientAuthentication, InsufficientScope, SettingsError, listed, shown
from .possession import ANYBODY, Sender
from .settings import ApiSettings, Policy
from .values import LATEST, SCOPE_TOKEN


class AccessToken:
    """A verified access token.

    The signature, the issuer, the audience, the times and the profile's claims have been checked when there is one.
    """

    __slots__ = ("_policy", "_raw", "_sender", "_settings", "_signed", "checked_at")

    def __init__(
        self,
        signed: Signed,
        policy: Policy,
        settings: ApiSettings,
        checked_at: float,
        raw: str | None = None,
        *,
        sender: Sender = ANYBODY,
    ) -> None:
        self._signed = signed
        self._policy = policy
        self._settings = settings
        self._raw = raw
        self._sender = sender
        self.checked_at: float = checked_at  # seconds since the epoch

    @property
    def subject(self) -> str:
        """`sub`: the user, or the application itself."""
        return self._signed.claims["sub"]  # type: ignore[no-any-return]

    @property
    def client_id(self) -> str | None:
        """The application that asked for the token: `client_id` (RFC 9068 section 2.2), or Auth0's `azp`."""
        return client_of(self._signed.claims)

    @property
    def issuer(self) -> str:
        """`iss`."""
        return self._signed.claims["iss"]  # type: ignore[no-any-return]

    @property
    def audience(self) -> tuple[str, ...]:
        """`aud`, also when it is a single string."""
        audience = self._signed.claims["aud"]
        return (audience,) if isinstance(audience, str) else tuple(audience)

    @property
    def scopes(self) -> frozenset[str]:
        """The names in `scope`; empty when there is no such claim."""
        return scopes_of(self._signed.claims)

    @property
    def permissions(self) -> frozenset[str] | None:
        """The names in `permissions`. None: no such claim; empty: RBAC granted none."""
        permissions = self._signed.claims.get("permissions")
        return None if permissions is None else frozenset(permissions)

    @property
    def issued_at(self) -> datetime:
        """`iat`, in UTC."""
        return datetime.fromtimestamp(self._signed.claims["iat"], UTC)

    @property
    def expires_at(self) -> datetime:
        """`exp`, in UTC."""
        return datetime.fromtimestamp(self._signed.claims["exp"], UTC)

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only: what is done to them changes nothing of the token."""
        return MappingProxyType(deepcopy(self._signed.claims))

    @property
    def header(self) -> Mapping[str, Any]:
        """The token's header, read-only."""
        return MappingProxyType(deepcopy(self._signed.header))

    @property
    def raw(self) -> str:
        """The token as it was sent, encrypted where it was. It is a credential: keep it out of logs."""
        return self._signed.raw if self._raw is None else self._raw

    @property
    def jkt(self) -> str | None:
        """The RFC 7638 thumbprint of the key with which the sender signed the DPoP proof; None where there was none."""
        return self._sender.jkt

    @property
    def certificate_thumbprint(self) -> str | None:
        """`x5t#S256` (RFC 8705 section 3.1) of the sender's certificate, where the token is bound to it; else None."""
        return self._sender.certificate_thumbprint

    @property
    def dpop_nonce(self) -> str | None:
        """What to tell the sender as `DPoP-Nonce` with the answer (RFC 9449 section 8.2); None where nothing is."""
        return self._sender.dpop_nonce

    @property
    def organization(self) -> str | None:
        """`org_id`: the Auth0 Organization in whose name the token was issued."""
        return self._signed.claims.get("org_id")

    @property
    def actor(self) -> Actor | None:
        """`act`: who acts for the subject (RFC 8693 section 4.1)."""
        act = self._signed.claims.get("act")
        return None if act is None else Actor(act)

    @property
    def is_machine(self) -> bool:
        """Did an application ask for itself, with no user in it?

        No single sign is safe: `gty` is only in Auth0's own profile, `@clients` not in every RFC 9068 token, and
        `sub` equals the client's id only at some issuers (RFC 9068 section 2.2 asks for it).
        """
        grant = self._signed.claims.get("gty")
        grants = [grant] if isinstance(grant, str) else grant or []
        return "client-credentials" in grants or self.subject.endswith("@clients") or self.subject == self.client_id

    def require(self, *requirements: Requirement | str) -> None:
        """Insist on all of them.

        Raises InsufficientScope (403), or InsufficientAuthentication (401) where `authenticated(…)` is not met.
        """
        requirement = demand(requirements)
        if requirement is None:
            return
        report = requirement.report(self)
        # Of an application's own requirement that returns nothing, this is an error: it must not pass for a yes.
        if not report.met:
            raise answer(_refusal(report), self._settings, self._sender.scheme)

    def allows(self, *requirements: Requirement | str) -> bool:
        """Whether `require` would pass."""
        requirement = demand(requirements)
        return requirement is None or requirement.report(self).met

    def __repr__(self) -> str:
        return f"<AccessToken sub={shown(self.subject)} client_id={shown(self.client_id)}>"


def _refusal(report: Report) -> AuthError:
    if report.acr_values or report.max_age is not None:
        return InsufficientAuthentication(report.acr_values, report.max_age, report.unmet)
    return InsufficientScope(report.names, report.missing, report.unmet, "; ".join(report.hints))


class Actor:
    """Who acts for the subject: one link of a delegation chain (RFC 8693 section 4.1)."""

    __slots__ = ("_act",)

    def __init__(self, act: Mapping[str, Any]) -> None:
        self._act = act

    @property
    def subject(self) -> str | None:
        """`sub` of the actor."""
        return self._act.get("sub")

    @property
    def claims(self) -> Mapping[str, Any]:
        """All that is said of the actor, read-only."""
        return MappingProxyType(deepcopy(dict(self._act)))

    @property
    def actor(self) -> Actor | None:
        """Who acted before: the next link. RFC 8693 section 4.1: earlier actors are for information only."""
        act = self._act.get("act")
        return None if act is None else Actor(act)

    def __iter__(self) -> Iterator[Actor]:
        """The chain: this actor, then those before."""
        link: Actor | None = self
        while link is not None:
            yield link
            link = link.actor

    def __repr__(self) -> str:
        return f"<Actor sub={shown(self.subject)}>"


# --------------------------------------------------------------------------------------------------------- requirements


@dataclass(frozen=True, slots=True)
class Report:
    """How a token stands to a requirement.

    names: scopes and permissions to ask for, in order of mention; missing: those that the token lacks; unmet: what else
    is not so, in words for the log; acr_values, max_age: the authentication that is wanted and not there; hints: what
    to change, for the log.
    """

    met: bool
    names: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    hints: tuple[str, ...] = field(default=(), compare=False)


MET: Final = Report(True)
SHORT: Final = 256  # characters: a longer name is not remembered


class Requirement:
    """Something that a token must satisfy: a value that can be evaluated, combined with `&` and `|`, and described."""

    __slots__ = ()

    def report(self, token: AccessToken) -> Report:
        """How this token stands to it."""
        raise TypeError(f"{type(self).__name__} does not say how it is met")

    @property
    def names(self) -> tuple[str, ...]:
        """Every scope and permission that it mentions, once, in order: for documentation."""
        return ()

    def __and__(self, other: Requirement | str) -> Requirement:
        return all_of(self, other)

    def __or__(self, other: Requirement | str) -> Requirement:
        return any_of(self, other)

    def __rand__(self, other: str) -> Requirement:
        return all_of(other, self)

    def __ror__(self, other: str) -> Requirement:
        return any_of(other, self)

    def __bool__(self) -> NoReturn:
        """Raises SettingsError: `scope("a") and scope("b")` would be `scope("b")` alone, and nobody would notice."""
        raise SettingsError("requirement", "is combined with & and |, since `and`, `or` and `not` would leave one out")


@dataclass(frozen=True, slots=True)
class _Names(Requirement):
    """All of these names. place: "scope", "permissions", or None where the settings say which."""

    place: str | None
    wanted: tuple[str, ...]
    _met: Report = field(init=False, repr=False, compare=False)  # the answer to nearly every request

    def __post_init__(self) -> None:
        object.__setattr__(self, "_met", Report(True, self.wanted))

    def report(self, token: AccessToken) -> Report:
        place = self.place or ("permissions" if token._settings.permissions_in_token else "scope")
        held = _listed_in(token._signed.claims, place)
        missing = tuple([name for name in self.wanted if name not in held])
        if not missing:
            return self._met
        return Report(False, self.wanted, missing, hints=self._unread(place, missing, token))

    def _unread(self, place: str, missing: Sequence[str], token: AccessToken) -> tuple[str, ...]:
        """The names may be in the claim that nobody looked into: say so."""
        elsewhere = token.scopes if place == "permissions" else token.permissions or frozenset()
        if not elsewhere.intersection(missing):
            return ()
        if self.place is not None:
            other = "scope" if place == "permissions" else "permissions"
            return (f"the token's {other} claim holds it, and only {place} was asked for",)
        if place == "scope":
            return ("the token's permissions claim holds it: permissions_in_token=True would read it",)
        if token.permissions is None:
            return ("the token has no permissions claim, its scope holds it: permissions_in_token=False would read it",)
        return ()

    @property
    def names(self) -> tuple[str, ...]:
        return self.wanted


def _listed_in(claims: Mapping[str, Any], place: str) -> Sequence[str]:
    """What stands in the claim, repeats and all: of few names each is found sooner than a set is made."""
    value = claims.get(place) or ()
    return value.split(" ") if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Claim(Requirement):
    claim: str
    values: tuple[Any, ...]

    def report(self, token: AccessToken) -> Report:
        found = token._signed.claims.get(self.claim)
        # An absent claim is not null: it has no value at all.
        candidates = found if isinstance(found, list) else [found] if self.claim in token._signed.claims else []
        if any(_same(value, candidate) for value in self.values for candidate in candidates):
            return MET
        return Report(False, unmet=(f"claim {self.claim!r} must be {listed(self.values)}, got {shown(found)}",))


def _same(wanted: Any, found: Any) -> bool:
    # True == 1 in Python, and not in JSON.
    return wanted == found and isinstance(wanted, bool) == isinstance(found, bool)


@dataclass(frozen=True, slots=True)
class _Authenticated(Requirement):
    acr: tuple[str, ...]
    max_age: int | None

    def report(self, token: AccessToken) -> Report:
        unmet = [*self._acr(token), *self._age(token)]
        if not unmet:
            return MET
        return Report(False, unmet=tuple(unmet), acr_values=self.acr, max_age=self.max_age)

    def _acr(self, token: AccessToken) -> list[str]:
        found = token._signed.claims.get("acr")
        good = not self.acr or (isinstance(found, str) and found in self.acr)
        return [] if good else [f"acr must be {listed(self.acr)}, got {shown(found)}"]

    def _age(self, token: AccessToken) -> list[str]:
        if self.max_age is None:
            return []
        found = token._signed.claims.get("auth_time")
        if isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found <= LATEST:
            age = token.checked_at - found
            leeway = token._policy.leeway
            if -leeway <= age <= self.max_age + leeway:
                return []
            return [f"the user authenticated {age:.0f} s ago, at most {self.max_age} s are accepted"]
        return [f"auth_time must be a number of seconds, 0 to {LATEST}, got {shown(found)}"]


@dataclass(frozen=True, slots=True)
class _All(Requirement):
    members: tuple[Requirement, ...]

    def report(self, token: AccessToken) -> Report:
        reports = [member.report(token) for member in self.members]
        if all(report.met for report in reports):
            return Report(True, _joined([report.names for report in reports]))
        ages = [report.max_age for report in reports if report.max_age is not None]
        return Report(
            met=False,
            names=_joined(report.names for report in reports),
            missing=_joined(report.missing for report in reports),
            unmet=_joined(report.unmet for report in reports),
            acr_values=next((report.acr_values for report in reports if report.acr_values), ()),
            max_age=min(ages, default=None),
            hints=_joined(report.hints for report in reports),
        )

    @property
    def names(self) -> tuple[str, ...]:
        return _joined(member.names for member in self.members)


@dataclass(frozen=True, slots=True)
class _Any(Requirement):
    members: tuple[Requirement, ...]

    def report(self, token: AccessToken) -> Report:
        reports = [member.report(token) for member in self.members]
        met = next((report for report in reports if report.met), None)
        # Ask the client for as little as would do: the first alternative with the fewest missing names.
        return met or min(reports, key=lambda report: len(report.missing))

    @property
    def names(self) -> tuple[str, ...]:
        return _joined(member.names for member in self.members)


def _joined(groups: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([name for group in groups for name in group]))


def scope(*names: str) -> Requirement:
    """All of these names must be in the token's `scope`. Raises SettingsError."""
    return _Names("scope", _scope_names("scope", names))


def permission(*names: str) -> Requirement:
    """All of these names must be in the token's `permissions` (RBAC). Raises SettingsError."""
    return _Names("permissions", _scope_names("permission", names))


def claim(name: str, *values: Any) -> Requirement:
    """The claim must be one of these values; a claim that is an array must hold one of them. Raises SettingsError."""
    if not isinstance(name, str) or not name or not values:
        raise SettingsError("claim", "takes a claim's name and at least one value", name)
    return _Claim(name, values)


def authenticated(*, acr: str | Sequence[str] = (), max_age: int | None = None) -> Requirement:
    """The user must have authenticated in one of these ways, and not too long ago (RFC 9470).

    acr: authentication context class references, the preferred first; max_age: seconds since `auth_time`.
    Raises SettingsError.
    """
    listed_classes = (acr,) if isinstance(acr, str) else acr
    if not isinstance(listed_classes, Iterable):
        raise SettingsError("acr", "must be a name or a list of names", acr)
    classes = _scope_names("acr", tuple(listed_classes)) if acr else ()
    whole = isinstance(max_age, int) and not isinstance(max_age, bool) and max_age >= 0
    if max_age is not None and not whole:
        raise SettingsError("max_age", "must be a whole number of seconds, 0 or more", max_age)
    if not classes and max_age is None:
        raise SettingsError("authenticated", "takes acr, max_age or both")
    return _Authenticated(classes, max_age)


def all_of(*requirements: Requirement | str) -> Requirement:
    """Every one of them. A plain string is a permission name of this API. Raises SettingsError."""
    return _combined(_All, requirements)


def any_of(*requirements: Requirement | str) -> Requirement:
    """At least one of them. A plain string is a permission name of this API. Raises SettingsError."""
    return _combined(_Any, requirements)


def demand(requirements: Sequence[Requirement | str]) -> Requirement | None:
    """Several requirements as one, all of which must hold; None for none at all. Raises SettingsError."""
    if len(requirements) == 1 and isinstance(requirements[0], Requirement):
        return requirements[0]  # as every gate has it, which was told what it wants before there was any request
    return all_of(*requirements) if requirements else None


def _combined(kind: type[_All | _Any], requirements: Sequence[Requirement | str]) -> Requirement:
    members = tuple(_requirement(requirement) for requirement in requirements)
    if not members:
        raise SettingsError("requirement", "name at least one")
    if len(members) == 1:
        return members[0]
    # a & b & c is one row of three, so that names and reports stay in order of mention.
    flat = [inner for member in members for inner in (member.members if isinstance(member, kind) else (member,))]
    return kind(tuple(flat))


def _requirement(value: Requirement | str) -> Requirement:
    if isinstance(value, Requirement):
        return value
    if callable(value):
        raise SettingsError("requirement", "is called first, requires(…), and its answer decorates", value)
    return _plain_once(value) if type(value) is str and len(value) <= SHORT else _plain(value)


def _plain(name: str) -> Requirement:
    return _Names(None, _scope_names("requirement", (name,)))


# `token.require("…")` in an endpoint has the same name in every request.
_plain_once = lru_cache(maxsize=1_024)(_plain)


def _scope_names(what: str, names: Sequence[object]) -> tuple[str, ...]:
    if not names:
        raise SettingsError(what, "name at least one")
    for name in names:
        # RFC 6749 section 3.3: what can be asked for in a scope, and told in a challenge.
        if not isinstance(name, str) or SCOPE_TOKEN.fullmatch(name) is None:
            raise SettingsError(what, "must be ASCII text without spaces, quotes and backslashes", name)
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))
