"""An issuer's keys, and when to ask for them again. Never fetches: it asks.

Times are monotonic seconds. A state is a value; every change makes a new one, so that a reader needs no lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .compact import Unverified, parse_json
from .effects import NOW, Fetch, FetchFailed, Flow, LoadKeys, Moment
from .errors import KeysUnavailable, SettingsError, shown
from .jwk import KeySet, SharedSecret, VerificationKey, read_jwks
from .settings import ApiSettings, Issuer, Policy, check_url

SOFT_AGE = 600.0  # seconds: older keys are asked for again, and serve meanwhile
HARD_AGE = 86_400.0  # seconds: older keys serve nobody, whatever the issuer's endpoint does
COOL_DOWN = 30.0  # seconds in which an unknown kid cannot cause another fetch
BACK_OFF = 1.0, 60.0  # seconds after the first failed load, doubled for each further one, and at most
METADATA_BYTES = 512 * 1024
JWKS_BYTES = 512 * 1024
METADATA_DEPTH, METADATA_MEMBERS = 8, 2_000


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known of an issuer's keys.

    keys: the last good set; loaded_at: when it came; attempts: loads that have ended, either way; failures: those that
    failed since the last good one; failed_at, failure: the last of them; missed_at: when an unknown kid last caused a
    load; generation: how many sets there have been.
    """

    keys: KeySet | None = None
    loaded_at: float = 0.0
    attempts: int = 0
    failures: int = 0
    failed_at: float = 0.0
    failure: str = ""
    missed_at: float | None = None
    generation: int = 0

    def loaded(self, keys: KeySet, now: float) -> KeyState:
        """A good set came: it replaces the one before, and a withdrawn key is dropped with that."""
        return replace(
            self,
            keys=keys,
            loaded_at=now,
            attempts=self.attempts + 1,
            failures=0,
            failure="",
            generation=self.generation + 1,
        )

    def failed(self, reason: str, now: float) -> KeyState:
        """Nothing good came: the set before goes on serving."""
        return replace(self, attempts=self.attempts + 1, failures=self.failures + 1, failed_at=now, failure=reason)

    def missed(self, now: float) -> KeyState:
        """An unknown kid has caused a load, which began then; the cool-down counts from there, however it ended."""
        return replace(self, missed_at=now)

    def serving(self, now: float) -> KeySet | None:
        """The keys that may be used now."""
        return None if self.keys is None or now - self.loaded_at >= HARD_AGE else self.keys

    def waits(self, now: float) -> float:
        """Seconds until a load may be tried again after failures; 0 when it may now."""
        if not self.failures:
            return 0.0
        first, most = BACK_OFF
        pause = min(most, first * 2.0 ** min(self.failures - 1, 16))
        return max(0.0, self.failed_at + pause - now)

    def cooling(self, now: float) -> bool:
        """Has an unknown kid caused a load within the cool-down?"""
        return self.missed_at is not None and now - self.missed_at < COOL_DOWN

    def should_load(self, kid: str | None, now: float) -> bool:
        """Is it time to ask the issuer, for the sake of a token that names this kid?"""
        serving = self.serving(now)
        if serving is not None and not serving.has(kid):
            return not self.cooling(now)
        stale = serving is None or now - self.loaded_at >= SOFT_AGE
        return stale and self.waits(now) == 0.0


class IssuerKeys:
    """The keys of one issuer: given, shared, or loaded and kept fresh. No key of it ever serves another issuer."""

    def __init__(self, issuer: Issuer, policy: Policy, given: KeySet | SharedSecret | None) -> None:
        self.issuer = issuer
        self.policy = policy
        self.given = given
        self.state: KeyState = KeyState()

    def find(self, token: Unverified) -> Flow[VerificationKey]:
        """The key that the token names, for its algorithm. At most one load is waited for.

        Raises HeaderRejected, UnknownKey, AmbiguousKey, KeysUnavailable.
        """
        if self.given is not None:
            return self.given.find(token.kid, token.algorithm, self.issuer.url)
        now = (yield NOW).monotonic
        state = self.state
        if state.should_load(token.kid, now):
            serving = state.serving(now)
            known = serving is not None and serving.has(token.kid)
            yield LoadKeys(self, state.attempts, because_of_kid=serving is not None and not known, urgent=not known)
            state = self.state
        keys = state.serving(now)
        if keys is None:
            raise self._unavailable(state, now)
        if not keys.has(token.kid) and state.failures:
            # We could not look: the fault may be ours, so the client must not throw its token away.
            raise self._unavailable(state, now)
        return keys.find(token.kid, token.algorithm, self.issuer.url)

    def _unavailable(self, state: KeyState, now: float) -> KeysUnavailable:
        reason = state.failure or "they have not come yet"
        return KeysUnavailable(self.issuer.url, reason, state.waits(now))

    def load(self, moment: Moment, *, because_of_kid: bool) -> Flow[None]:
        """Fetch, validate, and only then replace. A failure is kept in the state, and raises nothing."""
        try:
            keys = yield from self._fetch()
        except FetchFailed as failure:
            ended = yield NOW
            self.state = self.state.failed(failure.reason, ended.monotonic)
        else:
            ended = yield NOW
            self.state = self.state.loaded(keys, ended.monotonic)
        finally:
            # Not before: whoever brings the same new kid meanwhile joins this load, and no cool-down refuses it.
            if because_of_kid:
                self.state = self.state.missed(moment.monotonic)

    def _fetch(self) -> Flow[KeySet]:
        url = self.issuer.jwks_uri or (yield from self._discover())
        document = yield Fetch(url, JWKS_BYTES)
        try:
            return read_jwks(document, self.policy.algorithms, alg_binds=self.issuer.jwk_alg_binds)
        except ValueError as error:
            raise FetchFailed(f"the JWK Set was refused: {error}") from None

    def _discover(self) -> Flow[str]:
        """The issuer's `jwks_uri`, from its metadata (OpenID Connect Discovery 1.0 section 4)."""
        document = yield Fetch(self.issuer.discovery_url, METADATA_BYTES)
        try:
            metadata = parse_json(document, depth=METADATA_DEPTH, members=METADATA_MEMBERS)
        except ValueError:
            raise FetchFailed("the issuer's metadata is no strict JSON text") from None
        if not isinstance(metadata, Mapping):
            raise FetchFailed("the issuer's metadata is no JSON object")
        return self._read_metadata(metadata)

    def _read_metadata(self, metadata: Mapping[str, Any]) -> str:
        # RFC 8414 section 3.3: it must be identical, or the keys may be somebody else's.
        if metadata.get("issuer") != self.issuer.url:
            raise FetchFailed(f"the metadata is of issuer {shown(metadata.get('issuer'))}")
        url = metadata.get("jwks_uri")
        try:
            check_url("jwks_uri", url, allow_http=self.issuer.allow_http, query=True)
        except SettingsError as error:
            raise FetchFailed(f"the metadata's {error}") from None
        return str(url)


def keys_of(settings: ApiSettings) -> dict[str, IssuerKeys]:
    """By issuer, its keys, not loaded yet."""
    found = {}
    for issuer in settings.issuers:
        policy = settings.policies[issuer.url]
        given = settings.secret_of(issuer) or issuer.given_keys(policy.algorithms)
        found[issuer.url] = IssuerKeys(issuer, policy, given)
    return found
