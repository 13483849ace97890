"""The keys of each issuer, and which of them a token names. Never fetches: it asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .claims import untrusted_issuer
from .compact import Unverified
from .discovery import METADATA_BYTES, discover
from .effects import (
    NOW,
    Document,
    Fetch,
    FetchFailed,
    Flow,
    LoadKeys,
    Moment,
    ReadFile,
    ResolveIssuer,
    Settle,
)
from .errors import InvalidToken, KeysUnavailable, SettingsError, Unavailable, shown
from .jwk import KeySet, SharedSecret, VerificationKey, read_jwks
from .key_state import BACK_OFF, COOL_DOWN, GRACE, HARD_AGE, NEVER, SOFT_AGE, Attempt, KeyState, Metadata, soft_age
from .request import Request
from .settings import ApiSettings, Issuer, Policy
from .snapshot import AHEAD, Kept, Snapshot
from .status import IssuerStatus, Source, Status
from .values import Profile, check_url

if TYPE_CHECKING:
    from .known import Known

__all__ = [
    "BACK_OFF",
    "COOL_DOWN",
    "HARD_AGE",
    "JWKS_BYTES",
    "METADATA_BYTES",
    "RESOLVED",
    "SOFT_AGE",
    "IssuerKeys",
    "KeyState",
    "Keyring",
    "keys_of",
]

JWKS_BYTES = 512 * 1024
FOR_EVER = float("inf")
RESOLVED = 1_000  # issuers of a resolver whose keys are remembered


class IssuerKeys:
    """The keys of one issuer: given, shared, or loaded and kept fresh. No key of it ever serves another issuer.

    given: keys that the settings hold; state: of those that are loaded; seed: of the jitter, 0 to 1; used_at: when a
    resolver last named the issuer.
    """

    def __init__(self, issuer: Issuer, policy: Policy, given: KeySet | SharedSecret | None, seed: float = 0.0) -> None:
        self.issuer: Issuer = issuer
        self.policy: Policy = policy
        self.given: KeySet | SharedSecret | None = given
        self.seed: float = seed
        self.state: KeyState = KeyState()
        self.used_at: float = NEVER
        self.usual: dict[Profile, Callable[[Mapping[str, Any], float], bool]] = {}  # as heads.py makes them
        self._begun = 0
        # For those who remember what was verified with them: the set in use, until when it serves, and until when
        # nothing is to be asked for.
        self.in_use: KeySet | SharedSecret | None = given
        self.serves_until: float = NEVER if given is None else FOR_EVER
        self.quiet_until: float = self.serves_until

    def find(self, token: Unverified) -> Flow[VerificationKey]:
        """The key that the token names, for its algorithm. At most one load is waited for.

        Raises HeaderRejected, UnknownKey, AmbiguousKey, KeysUnavailable.
        """
        now = (yield NOW).monotonic
        load = self._load_first(token, now)
        if load is not None:
            yield load
        return self._found(token, now)

    def find_at_once(self, token: Unverified, now: float) -> VerificationKey | None:
        """As `find`; None where it would wait."""
        return self._found(token, now) if self._load_first(token, now) is None else None

    def _load_first(self, token: Unverified, now: float) -> LoadKeys | None:
        state = self.state
        # The way of nearly every request: a known key of a fresh set.
        quiet = now < state.refresh_at and state.keys is not None and state.keys.has(token.kid)
        return None if quiet or self.given is not None else self._load_for(token.kid, state, now)

    def _found(self, token: Unverified, now: float) -> VerificationKey:
        if self.given is not None:
            return self.given.find(token.kid, token.algorithm, self.issuer.url)
        state = self.state
        keys = state.serving(now)
        if keys is None:
            raise self._unavailable(state, now)
        if not keys.has(token.kid) and state.failures:
            # We could not look: the fault may be ours, so the client must not throw its token away.
            raise self._unavailable(state, now)
        return keys.find(token.kid, token.algorithm, self.issuer.url)

    def set_with(self, key: VerificationKey, token: Unverified) -> KeySet | SharedSecret | None:
        """The set in use, if this key of the token is one of it: another set may have come since it was found."""
        current = self.in_use
        try:
            found = None if current is None else current.find(token.kid, token.algorithm, self.issuer.url)
        except InvalidToken:
            return None
        return current if found is key else None

    def _load_for(self, kid: str | None, state: KeyState, now: float) -> LoadKeys | None:
        """What to ask for before a token with this kid is looked at, if anything."""
        serving = state.serving(now)
        if serving is None:
            return LoadKeys(self, state.settled, urgent=True) if state.due(now) else None
        if kid is not None and not serving.has(kid):
            looks = state.should_look_for(kid, now)
            return LoadKeys(self, state.settled, kid=kid, urgent=True) if looks else None
        if not state.due(now):
            return None
        return LoadKeys(self, state.settled, grace=GRACE if state.late(now) else 0.0)

    def refresh(self, now: float) -> LoadKeys | None:
        """What to ask for now although no token asks: what is missing, or due."""
        state = self.state
        return LoadKeys(self, state.settled) if self.given is None and state.due(now) else None

    def refresh_beside(self, now: float) -> LoadKeys | None:
        """What to ask for beside a token that was verified before, with a key of the set that serves."""
        return self._load_for(None, self.state, now) if now >= self.quiet_until else None

    def _unavailable(self, state: KeyState, now: float) -> KeysUnavailable:
        reason = state.failure or "they have not come yet"
        return KeysUnavailable(self.issuer.url, reason, state.waits(now))

    # Loading

    def begin(self) -> int:
        """The ticket of a load that begins. To be called while nobody else does."""
        self._begun += 1
        return self._begun

    def expect(self, until: float) -> None:
        """A load is under way. Until it has ended, or until then, nobody else needs to ask. Monotonic seconds."""
        self.quiet_until = min(max(self.quiet_until, until), self.serves_until)

    def load(self, ticket: int, moment: Moment, kid: str | None = None) -> Flow[None]:
        """Fetch, validate, and only then replace. A failure is kept in the state, and raises nothing.

        moment: when the load began; kid: the unknown kid that is its only cause.
        """
        began = moment.monotonic
        try:
            keys, fresh_for, jwks_uri, metadata = yield from self._obtain(began)
        except FetchFailed as failure:
            ended = (yield NOW).monotonic
            attempt = Attempt(ticket, began, ended, kid, trouble=failure.trouble, reason=failure.reason)
        else:
            ended = (yield NOW).monotonic
            attempt = Attempt(ticket, began, ended, kid, keys, fresh_for, jwks_uri, metadata)
        yield Settle(self, attempt)

    def settle(self, attempt: Attempt) -> None:
        """Take the outcome of a load into the state. To be called while nobody else does."""
        self._take(self.state.after(attempt, self.seed))

    def _take(self, state: KeyState) -> None:
        self.state, self.in_use = state, state.keys
        self.serves_until, self.quiet_until = state.loaded_at + HARD_AGE, state.quiet_until

    def _obtain(self, now: float) -> Flow[tuple[KeySet, float, str | None, Metadata | None]]:
        if self.issuer.jwks_file is not None:
            document = yield ReadFile(str(self.issuer.jwks_file), JWKS_BYTES)
            return self._read(document, written=True), SOFT_AGE, None, None
        metadata = None
        url = self.issuer.jwks_uri
        if url is None:
            metadata = yield from discover(self.issuer, self.state.metadata, now, again=self.state.failures > 0)
            url = metadata.jwks_uri
        document = yield Fetch(url, JWKS_BYTES)
        return self._read(document), soft_age(document.cache_control), url, metadata

    def _read(self, document: Document, *, written: bool = False) -> KeySet:
        try:
            if written:
                return self.issuer.read_keys(document.octets, self.policy.algorithms)
            return read_jwks(document.octets, self.policy.algorithms, alg_binds=self.issuer.jwk_alg_binds)
        except ValueError as error:
            raise FetchFailed(f"the JWK Set was refused: {error}", "key_set") from None

    # Outliving the process

    def keep(self, moment: Moment) -> Kept | None:
        """The set in use, for a snapshot; None where nothing was loaded."""
        keys = self.state.serving(moment.monotonic)
        if keys is None:
            return None
        age = moment.monotonic - self.state.loaded_at
        return Kept({"keys": [dict(jwk) for jwk in keys.published]}, moment.wall - age)

    def restore(self, kept: Kept, moment: Moment) -> bool:
        """Serve with a set of a snapshot, if it is good, not too old, and nothing is loaded. Did it come to that?"""
        age = moment.wall - kept.loaded_at
        if self.given is not None or self.issuer.jwks_file or not -AHEAD <= age < HARD_AGE or self.state.keys:
            return False
        try:
            keys = read_jwks(kept.jwks, self.policy.algorithms, alg_binds=self.issuer.jwk_alg_binds)
        except ValueError:
            return False
        self._take(self.state.restore(keys, max(0.0, age), moment.monotonic, self.seed))
        return True

    @property
    def resolved(self) -> bool:
        """Did a resolver name this issuer, and not the settings?"""
        return self.used_at != NEVER

    # Being watched

    @property
    def source(self) -> Source:
        if self.given is not None:
            return "signing_secret" if isinstance(self.given, SharedSecret) else "jwks"
        if self.issuer.jwks_file is not None:
            return "jwks_file"
        return "jwks_uri" if self.issuer.jwks_uri is not None else "metadata"

    def ready(self, now: float) -> bool:
        """Are there keys that serve?"""
        return self.given is not None or self.state.serving(now) is not None

    def status(self, now: float) -> IssuerStatus:
        """What is known of these keys now."""
        state = self.state
        loaded = self.given if isinstance(self.given, KeySet) else state.serving(now)
        age = None if self.given is not None or state.keys is None else now - state.loaded_at
        return IssuerStatus(
            issuer=self.issuer.url,
            source=self.source,
            jwks_uri=state.jwks_uri or self.issuer.jwks_uri,
            ready=self.ready(now),
            restored=state.restored,
            kids=() if loaded is None else loaded.kids,
            skipped=() if loaded is None else loaded.skipped,
            generation=state.generation,
            age=age,
            next_load_in=None if self.given is not None else state.next_load(now),
            serves_for=None if age is None else max(0.0, HARD_AGE - age),
            failures=state.failures,
            trouble=state.trouble,
            last_error=state.failure or None,
        )


class Keyring(dict[str, IssuerKeys]):
    """By issuer, the keys of those in the settings; and apart, of those that a resolver named.

    seed: of the jitter, 0 to 1: another one in each process.
    """

    def __init__(self, settings: ApiSettings, seed: float = 0.0) -> None:
        super().__init__()
        self.settings: ApiSettings = settings
        self.seed: float = seed
        self._resolved: dict[Issuer, IssuerKeys] = {}
        self._snapshot: Snapshot = {}
        self.known: Known | None = None  # what the flow keeps of tokens that were verified with these keys
        for issuer in settings.issuers:
            self[issuer.url] = self._make(issuer)

    def _make(self, issuer: Issuer) -> IssuerKeys:
        policy = self.settings.policy_of(issuer)
        given = self.settings.secret_of(issuer) or issuer.given_keys(policy.algorithms)
        return IssuerKeys(issuer, policy, given, self.seed)

    def each(self) -> Iterator[IssuerKeys]:
        """All that are known now."""
        yield from self.values()
        yield from list(self._resolved.values())

    def reseed(self, seed: float) -> None:
        """Other jitter from now on: this is another process."""
        self.seed = seed
        for keys in self.each():
            keys.seed = seed

    def resolve(self, stated: str, request: Request | None) -> Flow[IssuerKeys]:
        """The keys of an issuer that the settings do not name, but their resolver may. No network before it does.

        It is asked each time, since its answer may depend on the request; the keys are remembered.
        Raises UntrustedIssuer; Unavailable where the resolver fails.
        """
        resolver = self.settings.resolver
        if resolver is None or not _is_address(stated):
            raise untrusted_issuer(stated, list(self))
        try:
            issuer = yield ResolveIssuer(resolver, stated, request)
        except FetchFailed as failure:
            raise Unavailable(failure.reason) from failure.__cause__
        if issuer is None:
            raise untrusted_issuer(stated, list(self))
        if not isinstance(issuer, Issuer):
            raise Unavailable(f"the resolver must return an Issuer or None, got {type(issuer).__name__}")
        if issuer.url != stated:
            raise untrusted_issuer(stated, [issuer.url])
        moment: Moment = yield NOW
        own = self._resolved.get(issuer)
        if own is None:
            own = self._remember(issuer, moment)
        own.used_at = moment.monotonic
        return own

    def _remember(self, issuer: Issuer, moment: Moment) -> IssuerKeys:
        try:
            self.settings.check_issuer(issuer)
            own = self._make(issuer)
        except SettingsError as error:
            raise Unavailable(f"the resolver's issuer {shown(issuer.url)} cannot be right: {error}") from error
        own.used_at = moment.monotonic
        if issuer.url in self._snapshot:
            own.restore(self._snapshot[issuer.url], moment)
        # Each step is one that no other thread can be in the middle of.
        own = self._resolved.setdefault(issuer, own)
        while len(self._resolved) > RESOLVED:
            # Those without keys first: a flood of made-up issuers must not push out the keys of real ones.
            others = [known for known in list(self._resolved.items()) if known[1] is not own]
            first = min(others, key=lambda known: (known[1].state.keys is not None, known[1].used_at))[0]
            self._resolved.pop(first, None)
        return own

    def wants(self, keys: IssuerKeys) -> bool:
        """Are these keys worth a refresh that no request asks for? Those of an issuer that nobody uses are not."""
        known = self.get(keys.issuer.url) is keys or self._resolved.get(keys.issuer) is keys
        return known and (keys.issuer.url in self or keys.used_at >= keys.state.loaded_at)

    # Outliving the process

    def export(self, moment: Moment) -> dict[str, Kept]:
        """By issuer, the sets in use."""
        found = {keys.issuer.url: keys.keep(moment) for keys in self.each() if keys.given is None}
        return {url: kept for url, kept in found.items() if kept is not None}

    def restore(self, snapshot: Snapshot, moment: Moment) -> list[IssuerKeys]:
        """Those that serve with a set of the snapshot now. It is remembered for issuers that a resolver will name."""
        self._snapshot = snapshot
        kept = [(keys, snapshot.get(keys.issuer.url)) for keys in self.values()]
        return [keys for keys, found in kept if found is not None and keys.restore(found, moment)]

    # Being watched

    def ready(self, now: float) -> bool:
        """Have all issuers in the settings keys that serve?"""
        return all(keys.ready(now) for keys in self.values())

    def status(self, now: float) -> Status:
        """What is known of all keys now."""
        return Status(tuple(keys.status(now) for keys in self.each()), self.ready(now))


ISSUER_LENGTH = 2_048


def _is_address(stated: str) -> bool:
    """Could this be an issuer at all? A resolver is not asked about what nobody could have meant."""
    if len(stated) > ISSUER_LENGTH:
        return False
    try:
        check_url("iss", stated, allow_http=True)
    except SettingsError:
        return False
    return True


def keys_of(settings: ApiSettings, seed: float = 0.0) -> Keyring:
    """By issuer, its keys, not loaded yet."""
    return Keyring(settings, seed)
