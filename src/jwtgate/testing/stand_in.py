"""A stand-in for the issuers of an API's settings: signs as they would, and the verifiers of this process trust it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from jwtgate.core.compact import Unverified
from jwtgate.core.effects import Flow, LoadKeys
from jwtgate.core.errors import SettingsError, listed
from jwtgate.core.jwk import KIND_OF, KeySet, SharedSecret, VerificationKey, read_jwks
from jwtgate.core.keys import IssuerKeys
from jwtgate.core.settings import ApiSettings, Issuer, Policy
from jwtgate.core.values import Profile
from jwtgate.verifier import SystemClock

from .broken import BROKEN
from .signing import Key, Members, made_once, seal, signed

if TYPE_CHECKING:
    from jwtgate.tenant import Tenant

    from .holder import Holder

Names = str | Iterable[str]

USER: Final = "auth0|6553da60a54af58e29493993"
CLIENT: Final = "TestedApplication000000000000000"
LIFETIME = 3600  # seconds, unless the settings ask for less
OWNER: Final = "stand-in"  # of the keys that a tenant does not have
NOTHING: Final[Mapping[str, Any]] = {}


class StandIn:
    """Signs access tokens for one API, in place of the issuers that its settings name.

    settings: what the API accepts, and so what the tokens are like.
    tenant: its keys sign RSA algorithms, so that tokens which it issues itself are good too. None makes one.
    clock: the time in seconds since 1970; that which verifiers go by unless given.

    `standing_in` is what makes verifiers trust its keys. (With HS256 nothing has to: the settings hold the secret.)
    """

    def __init__(
        self, settings: ApiSettings, tenant: Tenant | None = None, *, clock: Callable[[], float] | None = None
    ) -> None:
        self.settings: ApiSettings = settings
        self.tenant: Tenant = _new_tenant() if tenant is None else tenant
        self._clock = clock or SystemClock().wall
        self._key_sets: dict[object, KeySet] = {}

    # Tokens

    def token(
        self,
        *,
        subject: str | None = USER,
        permissions: Names = (),
        scope: Names | None = None,
        organization: str | None = None,
        profile: Profile | None = None,
        client_id: str = CLIENT,
        issued_at: float | None = None,
        issuer: str | None = None,
        holder: Holder | None = None,
        encrypted: bool = False,
        claims: Mapping[str, Any] = NOTHING,
        header: Mapping[str, Any] = NOTHING,
    ) -> str:
        """A token that this API takes, valid for an hour (or less, where `token_lifetime` is less).

        subject: the user; None stands for the application itself, as after client_credentials.
        permissions: names, as `requires(…)` takes them. They stand in `scope` and, where the settings say that tokens
            carry permissions, in `permissions`.
        scope: names that the application asked for. Where tokens carry permissions it stands in `scope` alone, else
            before those; the permissions unless given.
        organization: the `org_id`.
        profile: as the settings say unless given; Auth0's where they take either.
        issued_at: seconds since 1970; now unless given.
        issuer: the `iss`, one of those in the settings; the first unless given.
        holder: whose key it is bound to or, where the settings take mutual TLS alone, whose certificate.
        encrypted: it is encrypted for the first of the settings' `decryption_keys`.
        claims, header: members that replace or join all these, and may well spoil the token; None takes one away. They
            do not change how it is signed.

        Names may be one text with spaces between them. Raises SettingsError for a profile that there is not, for an
        issuer that the settings do not name, and for encryption without a key of which the public half is known.
        """
        own = self._issuer(issuer)
        policy = self.settings.policies[own.url]
        kind = _known(profile or policy.profile or "auth0")
        algorithm = (own.signing_algorithms or self.settings.signing_algorithms)[0]
        key = self._key(algorithm, own)
        issued = self.now() if issued_at is None else int(issued_at)
        good = {
            "iss": own.url,
            "sub": f"{client_id}@clients" if subject is None else subject,
            "aud": policy.identifiers[0],
            "iat": issued,
            "exp": issued + min(LIFETIME, policy.token_lifetime or LIFETIME),
            **_CLIENT[kind](client_id, subject is None),
            **self._allowed(_names(permissions), None if scope is None else _names(scope)),
            "org_id": organization,
            "cnf": None if holder is None else self._confirmation(holder),
        }
        stated = {"alg": algorithm, "typ": _TYPES[kind], "kid": key.kid, **header}
        token = signed(stated, {**good, **claims}, key, algorithm)
        return self._encrypted(token) if encrypted else token

    def broken(self, name: str) -> str:
        """A token that this API refuses: one of `BROKEN`. Raises SettingsError for another name."""
        if name not in BROKEN:
            raise SettingsError("broken", f"must be one of {listed(tuple(BROKEN))}", name)
        return BROKEN[name](self)

    def now(self) -> int:
        """Whole seconds since 1970."""
        return int(self._clock())

    def _allowed(self, permissions: list[str], scope: list[str] | None) -> Members:
        if self.settings.permissions_in_token:
            return {"scope": _joined(permissions if scope is None else scope), "permissions": permissions}
        return {"scope": _joined([*(scope or ()), *permissions])}

    def _confirmation(self, holder: Holder) -> Members:
        # RFC 9449 section 6.1, RFC 8705 section 3.1.
        by_certificate = self.settings.possession.mechanisms == ("mtls",)
        return {"x5t#S256": holder.x5t} if by_certificate else {"jkt": holder.jkt}

    def _encrypted(self, token: str) -> str:
        for key in self.settings.keys_for_decryption:
            # A callable keeps its key elsewhere, and tells nobody the public half.
            if key.ask is None:
                algorithm = next(name for name in self.settings.encryption_algorithms if key.fits(name))
                content = self.settings.content_encryption_algorithms[0]
                # RFC 7519 section 5.2: a nested token's `cty` is JWT.
                header = {"alg": algorithm, "enc": content, "cty": "JWT", "kid": key.kid}
                return seal(token, header, key._private.public_key())
        raise SettingsError("decryption_keys", "must hold a private key, so that a token can be encrypted for it")

    # What its first issuer's tokens must be

    @property
    def identifiers(self) -> tuple[str, ...]:
        return self._policy.identifiers

    @property
    def algorithms(self) -> frozenset[str]:
        return self._policy.algorithms

    @property
    def _policy(self) -> Policy:
        return self.settings.policies[self._issuer(None).url]

    def _issuer(self, url: str | None) -> Issuer:
        for issuer in self.settings.issuers:
            if url in (None, issuer.url):
                return issuer
        raise SettingsError("issuer", f"must be one of {listed(tuple(self.settings.policies))}", url)

    # Keys

    def published_key(self, algorithm: str) -> Key:
        """The key that its first issuer signs with, or would."""
        return self._key(algorithm, self._issuer(None))

    def strange_key(self, algorithm: str) -> Key:
        """A key for this algorithm that nobody publishes."""
        kind = KIND_OF.get(algorithm)
        return Key(None, secrets.token_bytes(32)) if kind is None else made_once(kind, "strange")

    def jwks(self) -> Members:
        """The JWK Set that verifiers get: the tenant's keys, and one for each kind of key that it does not have."""
        # Without `alg`: where a key's own binds, the tenant's RS256 would stand in the way of PS256.
        rsa = [{name: value for name, value in jwk.items() if name != "alg"} for jwk in self.tenant.jwks()["keys"]]
        others = {kind: algorithm for algorithm, kind in KIND_OF.items() if kind != "RSA"}
        return {"keys": [*rsa, *(made_once(kind, OWNER).jwk(algorithm) for kind, algorithm in others.items())]}

    def keys_for(self, keys: IssuerKeys) -> KeySet | None:
        """What a verifier gets in place of these keys. None: they are no issuer's of ours, or a shared secret."""
        if keys.issuer.url not in self.settings.policies or isinstance(keys.given, SharedSecret):
            return None
        tenants = self.tenant.keys
        wanted = (tenants.current, tenants.next, tenants.previous, keys.policy.algorithms)
        if wanted not in self._key_sets:
            self._key_sets[wanted] = read_jwks(self.jwks(), keys.policy.algorithms)
        return self._key_sets[wanted]

    def _key(self, algorithm: str, issuer: Issuer) -> Key:
        kind = KIND_OF.get(algorithm)
        if kind is None:
            return Key(None, issuer.signing_secret or self.settings.signing_secret or secrets.token_bytes(32))
        if kind == "RSA":
            current = self.tenant.keys.current
            return Key(current.kid, current.private_key)
        return made_once(kind, OWNER)


@contextmanager
def standing_in(
    settings: ApiSettings, tenant: Tenant | None = None, *, clock: Callable[[], float] | None = None
) -> Iterator[StandIn]:
    """Until the block ends, every verifier in this process takes the stand-in's keys for those of these issuers.

    The verifiers may be older than the stand-in, and have any settings that name such an issuer. Nothing is fetched for
    it; what they knew of its keys before, they know again afterwards. Several may stand in at once: where two stand for
    the same issuer, the later one counts.

    For tests alone: whoever has the stand-in is let in.
    """
    stand_in = StandIn(settings, tenant, clock=clock)
    _standing.append(stand_in)
    # From outside: what production runs has no door for this.
    IssuerKeys.find = _find  # type: ignore[method-assign]
    IssuerKeys.find_at_once = _find_at_once  # type: ignore[method-assign]
    IssuerKeys.refresh = _refresh  # type: ignore[method-assign]
    IssuerKeys.ready = _ready  # type: ignore[method-assign]
    # What was verified with the one kind of keys is not remembered with the other.
    IssuerKeys.in_use = property(_in_use, _take_in_use)  # type: ignore[assignment]
    try:
        yield stand_in
    finally:
        _standing.remove(stand_in)
        if not _standing:
            IssuerKeys.find = _find_really  # type: ignore[method-assign]
            IssuerKeys.find_at_once = _find_at_once_really  # type: ignore[method-assign]
            IssuerKeys.refresh = _refresh_really  # type: ignore[method-assign]
            IssuerKeys.ready = _ready_really  # type: ignore[method-assign]
            del IssuerKeys.in_use  # type: ignore[misc]


_standing: list[StandIn] = []  # in this process, oldest first
_find_really = IssuerKeys.find
_find_at_once_really = IssuerKeys.find_at_once
_refresh_really = IssuerKeys.refresh
_ready_really = IssuerKeys.ready


def _stood_in(keys: IssuerKeys) -> KeySet | None:
    found = (stand_in.keys_for(keys) for stand_in in reversed(_standing))
    return next((key_set for key_set in found if key_set is not None), None)


def _find(self: IssuerKeys, token: Unverified) -> Flow[VerificationKey]:
    keys = _stood_in(self)
    if keys is not None:
        return keys.find(token.kid, token.algorithm, self.issuer.url)
    return (yield from _find_really(self, token))


def _find_at_once(self: IssuerKeys, token: Unverified, now: float) -> VerificationKey | None:
    keys = _stood_in(self)
    if keys is not None:
        return keys.find(token.kid, token.algorithm, self.issuer.url)
    return _find_at_once_really(self, token, now)


def _refresh(self: IssuerKeys, now: float) -> LoadKeys | None:
    return _refresh_really(self, now) if _stood_in(self) is None else None


def _ready(self: IssuerKeys, now: float) -> bool:
    return _ready_really(self, now) if _stood_in(self) is None else True


def _in_use(self: IssuerKeys) -> KeySet | SharedSecret | None:
    keys = _stood_in(self)
    real: KeySet | SharedSecret | None = vars(self)["in_use"]
    return real if keys is None else keys


def _take_in_use(self: IssuerKeys, keys: KeySet | SharedSecret | None) -> None:
    vars(self)["in_use"] = keys


def _new_tenant() -> Tenant:
    # Here and not above: with the plugin, this module is imported by every run of tests.
    from jwtgate.tenant import Tenant  # noqa: PLC0415

    return Tenant()


# profile → `typ` (RFC 9068 section 2.1), and how a token names the application.
_TYPES: Final[Mapping[Profile, str]] = {"auth0": "JWT", "rfc9068": "at+jwt"}
_CLIENT: Final[Mapping[Profile, Callable[[str, bool], Members]]] = {
    "auth0": lambda client_id, machine: {"azp": client_id, "gty": "client-credentials" if machine else None},
    # RFC 9068 section 2.2: both are required.
    "rfc9068": lambda client_id, _: {"client_id": client_id, "jti": secrets.token_urlsafe(16)},
}


def _known(profile: Profile) -> Profile:
    if profile not in _TYPES:
        raise SettingsError("profile", f"must be None or one of {listed(tuple(_TYPES))}", profile)
    return profile


def _names(given: Names) -> list[str]:
    return given.split() if isinstance(given, str) else list(given)


def _joined(names: list[str]) -> str | None:
    """As Auth0 writes `scope`: no claim at all where there is no name."""
    return " ".join(dict.fromkeys(names)) or None
