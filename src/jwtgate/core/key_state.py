"""What is known of an issuer's keys, and when to ask again: numbers in, a decision out.

Times are monotonic seconds. A state is a value; every change makes a new one, so that a reader needs no lock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from .effects import Trouble
from .jwk import KeySet

SOFT_AGE = 600.0  # seconds: older keys are asked for again, and serve meanwhile
LEAST_SOFT_AGE = 300.0  # seconds: no issuer can shorten it further
HARD_AGE = 86_400.0  # seconds: older keys serve nobody, whatever the issuer's endpoint does
EARLY = 0.2  # the part of the soft age by which a refresh may come before its end, so that processes do not go together
LATE = 300.0  # seconds after the soft age in which nobody asked: then one request waits, as a key may be withdrawn
GRACE = 2.0  # seconds that it waits
COOL_DOWN = 30.0  # seconds in which an unknown kid cannot cause another load
KID_PAUSE = 600.0  # seconds, at most, until a kid that was looked for in vain is looked for again
KIDS_REMEMBERED = 64  # the cool-down lets about 40 of them in before the first is forgotten
BACK_OFF = 1.0, 60.0  # seconds after the first failed load, doubled for each further one, and at most
METADATA_AGE = 300.0  # seconds: a load reads older metadata again, so that a moved `jwks_uri` is followed

NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where an issuer's keys are, by its metadata. url: where that was; read_at: when."""

    url: str
    jwks_uri: str
    read_at: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """One load that has ended.

    ticket: its place in the order in which loads began; kid: the unknown kid that was its only cause.
    keys: the good set that came, else None, and then trouble and reason. fresh_for: seconds, the set's soft age.
    jwks_uri, metadata: where it came from, as far as it has an address.
    """

    ticket: int
    began: float
    ended: float
    kid: str | None = None
    keys: KeySet | None = None
    fresh_for: float = SOFT_AGE
    jwks_uri: str | None = None
    metadata: Metadata | None = None
    trouble: Trouble = "interrupted"
    reason: str = "the load was interrupted"


@dataclass(frozen=True, slots=True)
class Missing:
    """A kid that was looked for in vain. times: how often in a row; at: when last."""

    times: int
    at: float

    def pause(self) -> float:
        """Seconds after which another look is worth its request: an issuer may publish a key late."""
        return min(KID_PAUSE, COOL_DOWN * 2.0 ** min(self.times - 1, 16))


@dataclass(frozen=True, slots=True)
class KeyState:
    """What is known of an issuer's keys.

    keys: the last good set; loaded_at: when it came; set_by: the ticket of the load that brought it; restored: from a
        snapshot; generation: how many sets there have been.
    refresh_at: when to ask again; late_at: when nobody has, for so long that a request waits.
    settled: the highest ticket of a load that has ended.
    failures: loads that failed since the last good one; failed_at, trouble, failure: the last of them; retry_at: when
        to try again.
    missed_at: when an unknown kid last caused a load; missing: kids that were looked for in vain.
    jwks_uri, metadata: where the last good set came from.
    """

    keys: KeySet | None = None
    loaded_at: float = NEVER
    set_by: int = 0
    restored: bool = False
    generation: int = 0
    refresh_at: float = NEVER
    late_at: float = NEVER
    settled: int = 0
    failures: int = 0
    failed_at: float = NEVER
    trouble: Trouble | None = None
    failure: str = ""
    retry_at: float = NEVER
    missed_at: float = NEVER
    missing: Mapping[str, Missing] = field(default_factory=dict)
    jwks_uri: str | None = None
    metadata: Metadata | None = None

    # What may be done now

    def serving(self, now: float) -> KeySet | None:
        """The keys that may be used now."""
        return None if self.keys is None or now - self.loaded_at >= HARD_AGE else self.keys

    def waits(self, now: float) -> float:
        """Seconds until a load may be tried again after failures; 0 when it may now."""
        return max(0.0, self.retry_at - now)

    def due(self, now: float) -> bool:
        """Is it time to ask the issuer, whatever a token names?"""
        return now >= self.retry_at and (now >= self.refresh_at or self.serving(now) is None)

    @property
    def quiet_until(self) -> float:
        """Until then these keys serve and there is nothing to be asked for, whatever happens meanwhile but a change."""
        return NEVER if self.keys is None else min(max(self.refresh_at, self.retry_at), self.loaded_at + HARD_AGE)

    def next_load(self, now: float) -> float:
        """Seconds until it is. Of a set that serves nobody, the time to ask again is long past."""
        return max(0.0, self.retry_at - now, self.refresh_at - now)

    def late(self, now: float) -> bool:
        """Has nobody asked for so long that a request for a known key should wait for the answer?

        A process that slept, or that had no request, has had no chance; one whose last attempt failed has.
        """
        return now >= self.late_at and now - self.failed_at >= LATE

    def should_look_for(self, kid: str, now: float) -> bool:
        """May this kid, which no key has, cause a load?"""
        looked = self.missing.get(kid)
        rested = looked is None or now - looked.at >= looked.pause()
        return rested and now - self.missed_at >= COOL_DOWN

    # What has happened

    def after(self, attempt: Attempt, seed: float) -> KeyState:
        """The state once this load has ended. seed: of the jitter, 0 to 1; 0 has none.

        Loads settle in the order in which they began: an older answer does not replace a younger one, and a failure
        that somebody has overtaken is no news.
        """
        if attempt.keys is not None:
            state = self if attempt.ticket <= self.set_by else self._loaded(attempt, attempt.keys, seed)
        else:
            state = self if attempt.ticket <= self.settled else self._failed(attempt, seed)
        # Not before: whoever brings the same new kid meanwhile joins this load, and no cool-down refuses it.
        return state if attempt.kid is None else state._missed(attempt.kid, attempt)

    def _loaded(self, attempt: Attempt, keys: KeySet, seed: float) -> KeyState:
        """A good set came: it replaces the one before, and a withdrawn key is dropped with that."""
        early = attempt.fresh_for * EARLY * jitter(seed, self.generation)
        return replace(
            self,
            keys=keys,
            loaded_at=attempt.ended,
            set_by=attempt.ticket,
            restored=False,
            generation=self.generation + 1,
            refresh_at=attempt.ended + attempt.fresh_for - early,
            late_at=attempt.ended + attempt.fresh_for + LATE,
            settled=max(self.settled, attempt.ticket),
            failures=0,
            failed_at=NEVER,
            trouble=None,
            failure="",
            retry_at=NEVER,
            jwks_uri=attempt.jwks_uri,
            metadata=attempt.metadata,
        )

    def _failed(self, attempt: Attempt, seed: float) -> KeyState:
        """Nothing good came: the set before goes on serving."""
        first, most = BACK_OFF
        pause = min(most, first * 2.0 ** min(self.failures, 16))
        return replace(
            self,
            settled=attempt.ticket,
            failures=self.failures + 1,
            failed_at=attempt.ended,
            trouble=attempt.trouble,
            failure=attempt.reason,
            retry_at=attempt.ended + pause * (1.0 - jitter(seed, self.failures) / 2.0),
        )

    def _missed(self, kid: str, attempt: Attempt) -> KeyState:
        """An unknown kid has caused a load; the cool-down counts from its beginning, however it ended."""
        missing = {name: looked for name, looked in self.missing.items() if attempt.ended - looked.at < 2 * KID_PAUSE}
        if attempt.keys is not None:
            before = missing.pop(kid, None)
            if not attempt.keys.has(kid):
                missing[kid] = Missing(1 if before is None else before.times + 1, attempt.began)
        youngest = sorted(missing, key=lambda name: missing[name].at)[-KIDS_REMEMBERED:]
        began = max(self.missed_at, attempt.began)
        return replace(self, missed_at=began, missing={name: missing[name] for name in youngest})

    def restore(self, keys: KeySet, age: float, now: float, seed: float) -> KeyState:
        """A set that was good `age` seconds ago, and ages on."""
        came = now - age
        early = SOFT_AGE * EARLY * jitter(seed, self.generation)
        return replace(
            self,
            keys=keys,
            loaded_at=came,
            restored=True,
            generation=self.generation + 1,
            refresh_at=came + SOFT_AGE - early,
            late_at=came + SOFT_AGE + LATE,
        )


def jitter(seed: float, n: int) -> float:
    """0 to 1: another number for each n, and for each seed. Always 0 where the seed is."""
    return seed * (1 + 997 * n) % 1.0


_MAX_AGE = re.compile(r'max-age\s*=\s*"?([^",;\s]*)"?')


def soft_age(cache_control: str) -> float:
    """Seconds until a set is asked for again: 10 minutes, or what the issuer says, but no less than 5.

    RFC 9111 section 5.2.2: `no-store` and `no-cache` ask for less than we can give. Section 4.2.1: an age that cannot
    be read counts as over.
    """
    said = cache_control.lower()
    if re.search(r"\bno-(store|cache)\b", said):
        return LEAST_SOFT_AGE
    found = _MAX_AGE.search(said)
    if found is None:
        return SOFT_AGE
    seconds = float(found[1]) if re.fullmatch(r"[0-9]{1,12}", found[1]) else 0.0
    return min(SOFT_AGE, max(LEAST_SOFT_AGE, seconds))
