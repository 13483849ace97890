"""The verifier's own checks, in their order, which report instead of refusing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, cast

from .access import AccessToken, Requirement, all_of
from .advice import Cause, Circumstances, advise, cause_of
from .binding import Senders
from .challenge import answer
from .claims import confirmation
from .compact import (
    CLAIMS_DEPTH,
    CLAIMS_MEMBERS,
    HEADER_DEPTH,
    HEADER_MEMBERS,
    Signed,
    Unverified,
    decode_base64url,
    parse,
    parse_json,
    verify,
)
from .effects import NOW, Decrypt, Flow, LoadKeys, RememberProof
from .errors import AuthError, MalformedToken, TokenTooLarge, Unavailable
from .flow import credentials_of, issuer_of, unwrap, used_scheme
from .jwe import check_replicated
from .keys import IssuerKeys, Keyring
from .possession import ANYBODY, Sender
from .profiles import PROFILES, TYPES, profile_of
from .request import Credentials, Request
from .rules import (
    ALGORITHM,
    BINDING,
    CREDENTIALS,
    DECRYPTION,
    FORM,
    HEADER,
    KEY,
    PAYLOAD,
    REPLICATION,
    REQUIREMENT,
    REVOCATION,
    RULES,
    SIGNATURE,
    SIGNATURE_FORM,
    STEPS,
    STRUCTURE,
    TRUSTED_ISSUER,
    TYP,
    Rule,
)
from .settings import ApiSettings, Policy
from .values import Profile
from .verification import check_algorithm

T = TypeVar("T")
Verdict = Literal["accepted", "refused", "undecided"]
Status = Literal["passed", "failed", "not_reached"]
Sent = Literal[
    "nothing",
    "jwt",
    "unsigned_jwt",
    "encrypted_jwt",
    "opaque",
    "refresh_token",
    "id_token",
    "logout_token",
    "unreadable",
]
Parts = Mapping[str, Mapping[str, Any]]

# ----------------------------------------------------------------------------------------------------------- the result


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check.

    name: stable; section: where the rule is written; expected: what would pass, in words (None where that depends on an
    issuer which is not known); found: what the token has there, as its JSON value.
    reason: of a failed check, as the API's log says it; of one that was not reached, why.
    cause, why, advice: of a failed check alone; why it failed in a sentence for beginners, and what to change.
    """

    name: str
    status: Status
    section: str
    expected: str | None
    found: Any
    reason: str = ""
    cause: Cause | None = None
    why: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Examination:
    """What the verifier's checks have to say about a token.

    verdict: "accepted" and "refused" as the verifier would; "undecided" where the issuer's keys could not be had.
    sent: what kind of thing it is. cause: of the first failed check, None where there is none. summary: one sentence;
    advice: what to change. verified: whether the signature was checked; else anybody may have written what was found.
    findings: every check in its order. refusal: the error that the verifier would raise, with status, headers and body.
    """

    verdict: Verdict
    sent: Sent
    cause: Cause | None
    summary: str
    advice: str
    verified: bool
    findings: tuple[Finding, ...]
    refusal: AuthError | None = field(default=None, compare=False)

    def finding(self, name: str) -> Finding:
        """The finding of that name. Raises KeyError where there is none."""
        for finding in self.findings:
            if finding.name == name:
                return finding
        raise KeyError(name)

    def to_dict(self) -> dict[str, Any]:
        """As values that JSON has. The token itself is not among them."""
        refusal = self.refusal
        return {
            "verdict": self.verdict,
            "sent": self.sent,
            "cause": self.cause,
            "summary": self.summary,
            "advice": self.advice,
            "verified": self.verified,
            "refusal": None if refusal is None else {"error": refusal.event, "status": refusal.status},
            "findings": [{name: getattr(finding, name) for name in finding.__slots__} for finding in self.findings],
        }

    def to_json(self) -> str:
        """One JSON document on one line, in ASCII: fit for a log, and for a terminal."""
        return json.dumps(self.to_dict())


# ------------------------------------------------------------------------------------------------------------- the flow


def examine(
    token: str,
    settings: ApiSettings,
    keys: Keyring,
    requirement: Requirement | str | None = None,
    senders: Senders | None = None,
    *,
    offline: bool = False,
) -> Flow[Examination]:
    """What becomes of a bare token, and why. Raises SettingsError for a requirement that could never be met.

    offline: keys that would have to be fetched are not; what they would decide is then not reached.
    """
    notes = _Notes(settings, keys, requirement, senders or Senders(settings))
    return (yield from _examine(token, notes, offline))


def examine_request(
    request: Request,
    settings: ApiSettings,
    keys: Keyring,
    requirement: Requirement | str | None = None,
    senders: Senders | None = None,
    *,
    offline: bool = False,
) -> Flow[Examination]:
    """As `examine`, for a whole request: its credentials are looked at first. Its proof is not used up."""
    notes = _Notes(settings, keys, requirement, senders or Senders(settings))
    credentials = notes.read(request)
    if credentials is None:
        notes.now = (yield NOW).wall
        return notes.examination()
    return (yield from _examine(credentials.token, notes, offline))


def _examine(token: str, notes: _Notes, offline: bool) -> Flow[Examination]:
    """The steps of `check_token`, in its order, without those that cannot be taken for want of an earlier one."""
    opened = yield from notes.follow(DECRYPTION, unwrap(token, notes.keys), offline)
    if opened is None:
        notes.sent, notes.now = token, (yield NOW).wall
        return notes.examination()
    inner, encrypted = opened
    unverified = notes.parsed(inner)
    own = signed = None
    if unverified:
        own = yield from notes.follow(TRUSTED_ISSUER, issuer_of(unverified, notes.keys, notes.request))
    if unverified and own:
        notes.policy = own.policy
        signed = yield from _signed(unverified, own, notes, offline)
        notes.profile = notes.attempt(TYP, profile_of, unverified.typ, own.policy) or notes.profile
    notes.now = (yield NOW).wall
    if own:
        for check in PROFILES[notes.profile]:
            notes.attempt(RULES[check], check, notes.parts["payload"], own.policy, notes.now)
    if signed and own:
        if encrypted is not None:
            notes.attempt(REPLICATION, check_replicated, encrypted, signed.claims)
        notes.attempt(REVOCATION, notes.senders.revocations.check, signed.claims)
        sender = yield from _sender(signed, notes)
        notes.demand(AccessToken(signed, own.policy, notes.settings, notes.now, raw=token, sender=sender or ANYBODY))
    return notes.examination()


def _sender(signed: Signed, notes: _Notes) -> Flow[Sender | None]:
    if RULES[confirmation].name in notes.failed:
        return None
    if notes.request is None or notes.credentials is None:
        notes.attempt(BINDING, notes.senders.check_bare, signed.claims)
        return None
    proving = notes.senders.check(signed.claims, notes.credentials, notes.request, notes.now)
    return (yield from notes.follow(BINDING, _without_memory(proving)))


def _signed(token: Unverified, own: IssuerKeys, notes: _Notes, offline: bool) -> Flow[Signed | None]:
    notes.attempt(ALGORITHM, check_algorithm, token, own)
    if ALGORITHM.name in notes.failed:
        return None
    key = yield from notes.follow(KEY, own.find(token), offline)
    return None if key is None else notes.attempt(SIGNATURE, verify, token, key)


class _OutOfReach(Exception):
    """The network would be needed."""


def _without_network(flow: Flow[T]) -> Flow[T]:
    """The same flow. A load that it need not wait for is left out; where it must, _OutOfReach is raised."""
    reply = None
    try:
        while True:
            effect = flow.send(reply)
            if isinstance(effect, Decrypt):
                raise _OutOfReach
            if not isinstance(effect, LoadKeys) or effect.keys.issuer.jwks_file is not None:
                reply = yield effect
            elif effect.urgent:
                raise _OutOfReach
            else:
                reply = None
    except StopIteration as end:
        return cast(T, end.value)


def _without_memory(flow: Flow[T]) -> Flow[T]:
    """The same flow, and no proof is remembered: to explain a request must not use it up."""
    reply: Any = None
    try:
        while True:
            effect = flow.send(reply)
            reply = "new" if isinstance(effect, RememberProof) else (yield effect)
    except StopIteration as end:
        return cast(T, end.value)


# ------------------------------------------------------------------------------------------------------------ the notes

# What a requirement does not read: a token from yesterday's log is expired, and its permissions are of interest still.
_BESIDE_THE_POINT: Final = frozenset(
    {"kind", "expiry", "not_before", "issued_at", "lifetime", "audience", "confirmation", "revocation", "binding"}
)

_SENT: Final[Mapping[Cause | None, Sent]] = {
    Cause.NO_CREDENTIALS: "nothing",
    Cause.NOTHING: "nothing",
    Cause.UNSIGNED: "unsigned_jwt",
    Cause.ENCRYPTED: "encrypted_jwt",
    Cause.UNDECRYPTABLE: "encrypted_jwt",
    Cause.OPAQUE: "opaque",
    Cause.REFRESH_TOKEN: "refresh_token",
    Cause.ID_TOKEN: "id_token",
    Cause.LOGOUT_TOKEN: "logout_token",
}

_NO_REQUEST: Final = Request("", "", ())

_ACCEPTED = "Nothing is wrong with this token: the API takes it."
_UNDECIDED = (
    "Nothing is wrong as far as can be seen offline, but only the issuer's keys tell whether the signature is good.",
    "Let the keys be fetched, or give them to this API's settings.",
)


class _Notes:
    """What has been found so far. passed: names of checks; failed: name to error."""

    def __init__(
        self, settings: ApiSettings, keys: Keyring, requirement: Requirement | str | None, senders: Senders
    ) -> None:
        self.settings = settings
        self.senders = senders
        self.keys = keys
        self.requirement = None if requirement is None else all_of(requirement)
        self.passed: set[str] = set()
        self.failed: dict[str, AuthError] = {}
        self.request: Request | None = None
        self.credentials: Credentials | None = None
        self.sent: Any = ""
        self.parts: Parts = {}
        self.policy: Policy | None = None
        self.profile: Profile = "auth0"
        self.token: AccessToken | None = None
        self.now = 0.0

    def attempt(self, rule: Rule, check: Callable[..., T], *given: Any) -> T | None:
        """What the check returns; None where it refuses."""
        try:
            result = check(*given)
        except AuthError as error:
            self.failed[rule.name] = error
            return None
        self.passed.add(rule.name)
        return result

    def follow(self, rule: Rule, flow: Flow[T], offline: bool = False) -> Flow[T | None]:
        """As `attempt`, for a check that may have to ask; None also where it may not."""
        try:
            result = yield from _without_network(flow) if offline else flow
        except AuthError as error:
            self.failed[rule.name] = error
            return None
        except _OutOfReach:
            return None
        self.passed.add(rule.name)
        return result

    def read(self, request: Request) -> Credentials | None:
        """The credentials of a request."""
        self.request = request if isinstance(request, Request) else _NO_REQUEST
        self.credentials = self.attempt(CREDENTIALS, credentials_of, request, self.settings, self.senders)
        return self.credentials

    def parsed(self, token: str) -> Unverified | None:
        """The token, not verified. One function reads its structure: which of four checks it was, its error says."""
        limit = self.settings.max_token_bytes
        self.sent = token
        self.parts = _parts(token, limit)
        self.profile = self._likely_profile()
        try:
            unverified = parse(token, limit)
        except AuthError as error:
            failed = _place(token, error)
            self.passed.update(rule.name for rule in STRUCTURE[: STRUCTURE.index(failed)])
            self.failed[failed.name] = error
            return None
        self.passed.update(rule.name for rule in STRUCTURE)
        return unverified

    def demand(self, token: AccessToken) -> None:
        """Evaluate the requirement, where all that it could read is in order."""
        self.token = token
        if self.requirement is not None and self.failed.keys() <= _BESIDE_THE_POINT:
            self.attempt(REQUIREMENT, token.require, self.requirement)

    def _likely_profile(self) -> Profile:
        typ = self.parts.get("header", {}).get("typ")
        name = typ.lower().removeprefix("application/") if isinstance(typ, str) else None
        return TYPES.get(name) or self.settings.profile or "auth0"

    # What comes of it

    def examination(self) -> Examination:
        findings = self._findings()
        fault = next((finding for finding in findings if finding.status == "failed"), None)
        cause = None if fault is None else fault.cause
        readable = {"header", "payload"} <= self.parts.keys()
        verdict, summary, advice = self._verdict(fault)
        scheme = None if self.request is None else used_scheme(self.credentials, self.request, self.settings)
        return Examination(
            verdict=verdict,
            sent=_SENT.get(cause, "jwt" if readable else "unreadable"),
            cause=cause,
            summary=summary,
            advice=advice,
            verified=SIGNATURE.name in self.passed,
            findings=findings,
            refusal=None if fault is None else _bare(answer(self.failed[fault.name], self.settings, scheme)),
        )

    def _verdict(self, fault: Finding | None) -> tuple[Verdict, str, str]:
        if fault is not None:
            unavailable = isinstance(self.failed[fault.name], Unavailable)
            return "undecided" if unavailable else "refused", fault.why, fault.advice
        if SIGNATURE.name not in self.passed:
            return "undecided", *_UNDECIDED
        return "accepted", _ACCEPTED, ""

    def _findings(self) -> tuple[Finding, ...]:
        rules = [*STEPS, *(RULES[check] for check in PROFILES[self.profile]), *self._later_rules()]
        if self.settings.decryption_keys:
            rules.insert(0, DECRYPTION)
        if self.request is not None:
            rules.insert(0, CREDENTIALS)
        if self.requirement is not None:
            rules.append(REQUIREMENT)
        blocked = next((rule.name for rule in rules if rule.name not in self.passed), "")
        return tuple(self._finding(rule, blocked) for rule in rules)

    def _later_rules(self) -> list[Rule]:
        """What comes after the claims, as far as this API does it at all."""
        wanted = {
            REPLICATION: bool(self.settings.decryption_keys),
            REVOCATION: self.settings.store is not None or REVOCATION.name in self.failed,
            BINDING: bool(self.settings.possession.mechanisms),
        }
        return [rule for rule, done in wanted.items() if done]

    def _finding(self, rule: Rule, blocked: str) -> Finding:
        expected, found = self._expected(rule), self._found(rule)
        if rule.name in self.passed:
            return Finding(rule.name, "passed", rule.section, expected, found)
        error = self.failed.get(rule.name)
        if error is None:
            reason = (
                f"{blocked!r} comes first" if rule.name != blocked else "offline: the issuer's keys are not fetched"
            )
            return Finding(rule.name, "not_reached", rule.section, expected, found, reason)
        here = self._circumstances(rule, found)
        cause = cause_of(error, here)
        why, advice = advise(cause, error, here)
        return Finding(rule.name, "failed", rule.section, expected, found, str(error), cause, why, advice)

    def _circumstances(self, rule: Rule, found: Any) -> Circumstances:
        return Circumstances(
            rule=rule,
            sent=",".join(self._lines()) if rule is CREDENTIALS else self.sent,
            found=found,
            claims=self.parts.get("payload", {}),
            now=self.now,
            trusted=[issuer.url for issuer in self.settings.issuers],
            policy=self.policy,
            token=self.token,
            permissions_in_token=self.settings.permissions_in_token,
        )

    def _expected(self, rule: Rule) -> str | None:
        if rule is TRUSTED_ISSUER:
            resolved = [] if self.settings.resolver is None else ["one that the resolver names"]
            return " or ".join([*(issuer.url for issuer in self.settings.issuers), *resolved])
        if rule is REQUIREMENT and self.requirement is not None and self.requirement.names:
            return ", ".join(self.requirement.names)
        policies = [*self.settings.policies.values()]
        return rule.expects(policies[0] if self.policy is None and len(policies) == 1 else self.policy, self.now)

    def _found(self, rule: Rule) -> Any:
        shapes: Mapping[Rule, Callable[[], Any]] = {
            CREDENTIALS: lambda: _count(len(self._lines()), "Authorization header"),
            FORM: lambda: _outline(self.sent),
            HEADER: lambda: self.parts.get("header"),
            PAYLOAD: lambda: [*self.parts["payload"]] if "payload" in self.parts else None,
            SIGNATURE_FORM: lambda: _outline_of_signature(self.sent),
        }
        return shapes[rule]() if rule in shapes else rule.found(self.parts)

    def _lines(self) -> list[str]:
        """The values of the Authorization headers, as far as they are text."""
        try:
            return [] if self.request is None else self.request.values("authorization")
        except AuthError:
            return []


def _parts(token: object, limit: int) -> Parts:
    """Header and payload, where they can be read. Nothing of it is verified: it is for the eye alone."""
    if not isinstance(token, str) or len(token) > limit or token.count(".") not in (2, 4):
        return {}
    header, payload, *_ = token.split(".")
    limits = {"header": (header, HEADER_DEPTH, HEADER_MEMBERS), "payload": (payload, CLAIMS_DEPTH, CLAIMS_MEMBERS)}
    found = {}
    for name, (segment, depth, members) in limits.items():
        try:
            value = parse_json(decode_base64url(segment), depth=depth, members=members)
        except ValueError:
            continue
        if isinstance(value, dict):
            found[name] = value
    return found


def _place(token: object, error: AuthError) -> Rule:
    """Which check of the structure it is that this error refuses."""
    if not isinstance(token, str) or token.count(".") != 2 or isinstance(error, TokenTooLarge):
        return FORM
    parts = {"payload": PAYLOAD, "signature": SIGNATURE_FORM}
    return parts.get(error.part, HEADER) if isinstance(error, MalformedToken) else HEADER


def _outline(token: object) -> str:
    """Of the token itself, no more than this is ever told."""
    if not isinstance(token, str):
        return type(token).__name__
    return f"{_count(token.count('.') + 1 if token else 0, 'segment')}, {_count(len(token), 'character')}"


def _outline_of_signature(token: object) -> str | None:
    if not isinstance(token, str) or token.count(".") != 2:
        return None
    return _count(len(token) - token.rindex(".") - 1, "character")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _bare(error: AuthError) -> AuthError:
    """Without the frames in which it was raised: they hold the token."""
    error.__context__ = None
    return error.with_traceback(None)
