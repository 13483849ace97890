"""Nearly every request is decided by one line of it, and in no other way than by the whole request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from jwtgate import AccessToken, ApiSettings, AuthError
from jwtgate import asgi as asgi_post
from jwtgate import wsgi as wsgi_post
from tests import proving
from tests.doors import Sent, asgi_scope, async_verifier, environ_of, run, settings_for, verifier
from tests.test_adapters import BAD_TOKENS, GOOD, HEADERS, own_jwks, token

Line = tuple[bytes, bytes]
Told = tuple[object, ...]

BEARER: Final = b"Bearer " + token("good")
AUTHORIZATION: Final = (b"Authorization", BEARER)
BOUND: Final = (b"Authorization", f"Bearer {proving.TOKEN}".encode())
PROOF: Final = (b"DPoP", proving.headers()["DPoP"].encode())

BESIDE: Final[Mapping[str, Sequence[Line]]] = {
    "a proof": [AUTHORIZATION, PROOF],
    "a proof before it": [PROOF, AUTHORIZATION],
    "a proof in lower case": [AUTHORIZATION, (b"dpop", PROOF[1])],
    "a proof in upper case": [AUTHORIZATION, (b"DPOP", PROOF[1])],
    "an empty proof": [AUTHORIZATION, (b"DPoP", b"")],
    "a name as long as that of a proof": [AUTHORIZATION, (b"Date", b"today"), (b"From", b"me")],
    "a name as long as its own": [(b"If-None-Match", b"x"), AUTHORIZATION, (b"Accept-Ranges", b"x")],
    "a bound token without a proof": [BOUND],
    "a bound token and a proof": [BOUND, PROOF],
    "a bound token as it is meant": proving.sent().lines,
    "an unbound token with a proof": proving.sent(token=proving.BEARER).lines,
    "a line in upper case beside it": [AUTHORIZATION, (b"AUTHORIZATION", BEARER)],
    "an empty line in another case beside it": [AUTHORIZATION, (b"aUTHORIZATION", b"")],
    "a token whose keys cannot be had": [(b"Authorization", b"Bearer " + token("orphan"))],
    "the same line twice": [AUTHORIZATION, AUTHORIZATION],
    "spaces at both ends": [(b"Authorization", b"  " + BEARER + b"  ")],
    "tabs at both ends": [(b"Authorization", b"\t" + BEARER + b"\t")],
    "spaces at the end": [(b"Authorization", BEARER + b"  ")],
    "more spaces than are read": [(b"Authorization", b" " * 70_000 + BEARER)],
    "more spaces after it than are read": [(b"Authorization", BEARER + b" " * 70_000)],
}
SENT: Final[Mapping[str, Sent]] = {
    **{about: case.request for about, case in {**GOOD, **HEADERS, **BAD_TOKENS}.items()},
    **{about: Sent(lines=lines) for about, lines in BESIDE.items()},
}
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "bearer tokens": {},
    "no memory": {"token_memory_bytes": 0},
    "proofs": {"proof_of_possession": "dpop", "public_url": "https://api.test"},
    "proofs alone": {
        "proof_of_possession": {"mechanism": "dpop", "required": True, "required_for": "all_clients"},
        "public_url": "https://api.test",
    },
}


def settings_of(kind: str) -> ApiSettings:
    return settings_for(own_jwks(), **SETTINGS[kind])


# --- the two ways, through each post --------------------------------------------------------------------------------


class OverAsgi:
    """A verifier, asked as the ASGI posts ask it; names of header lines reach it in the case they have."""

    def __init__(self, settings: ApiSettings) -> None:
        self.verifier = async_verifier(settings)

    def by_one_line(self, sent: Sent) -> AccessToken | AuthError:
        return run(asgi_post.outcome_of(self._scope(sent), self.verifier))  # type: ignore[no-any-return]

    def as_a_whole(self, sent: Sent) -> AccessToken | AuthError:
        return run(self.verifier.outcome(asgi_post.request_of(self._scope(sent))))  # type: ignore[no-any-return]

    @staticmethod
    def _scope(sent: Sent) -> dict[str, Any]:
        return asgi_scope(sent, headers=sent.all_lines)


class OverWsgi:
    """A verifier, asked as the WSGI posts ask it."""

    def __init__(self, settings: ApiSettings) -> None:
        self.verifier = verifier(settings)

    def by_one_line(self, sent: Sent) -> AccessToken | AuthError:
        return wsgi_post.outcome_of(environ_of(sent), self.verifier)

    def as_a_whole(self, sent: Sent) -> AccessToken | AuthError:
        return self.verifier.outcome(wsgi_post.request_of(environ_of(sent)))


WAYS: Final = [OverAsgi, OverWsgi]
Way = Callable[[ApiSettings], OverAsgi | OverWsgi]


def told(outcome: AccessToken | AuthError) -> Told:
    """All that can be seen of it."""
    if isinstance(outcome, AccessToken):
        sender = (outcome.jkt, outcome.certificate_thumbprint, outcome.dpop_nonce)
        return outcome.raw, outcome.claims, outcome.header, outcome.checked_at, sender
    return type(outcome), str(outcome), outcome.status, outcome.headers, outcome.body


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("about", SENT)
def test_one_line_tells_what_the_whole_request_tells(about: str, kind: str, way: Way) -> None:
    one, whole, sent = way(settings_of(kind)), way(settings_of(kind)), SENT[about]
    # For the first time; after a token of the same head; and when this one may be remembered.
    for request in (sent, Sent(lines=[AUTHORIZATION]), sent, sent):
        assert told(one.by_one_line(request)) == told(whole.as_a_whole(request))
    assert one.verifier.counters() == whole.verifier.counters()


def test_the_list_holds_good_requests_and_every_kind_of_refusal() -> None:
    way = OverAsgi(settings_of("proofs"))
    statuses = {getattr(way.by_one_line(sent), "status", 200) for sent in SENT.values()}
    assert statuses == {200, 400, 401, 503}


# --- what is not looked at ------------------------------------------------------------------------------------------


def test_of_a_bearers_request_nothing_but_its_lines_is_looked_at() -> None:
    octets = Sent(lines=[AUTHORIZATION, (b"Accept", b"*/*")]).all_lines
    over_asgi, over_wsgi = OverAsgi(settings_of("proofs")), OverWsgi(settings_of("proofs"))
    found = [
        run(asgi_post.outcome_of({"headers": octets}, over_asgi.verifier)),
        wsgi_post.outcome_of({"HTTP_AUTHORIZATION": BEARER.decode()}, over_wsgi.verifier),
    ]
    assert [outcome.raw.encode() for outcome in found] == [token("good")] * 2


def test_header_lines_that_can_be_read_but_once_are_read_as_a_whole() -> None:
    way = OverAsgi(settings_of("bearer tokens"))
    scope = asgi_scope(Sent())
    scope["headers"] = iter([AUTHORIZATION])
    assert run(asgi_post.outcome_of(scope, way.verifier)).raw.encode() == token("good")


def test_what_an_odd_server_hands_over_is_read_as_a_whole() -> None:
    """Octets for text: an error of our own, and no other, comes of it."""
    way = OverWsgi(settings_of("bearer tokens"))
    environ = {**environ_of(Sent()), "HTTP_AUTHORIZATION": BEARER}
    whole = way.verifier.outcome(wsgi_post.request_of(environ))
    assert told(wsgi_post.outcome_of(environ, way.verifier)) == told(whole)
    assert told(way.by_one_line(replace(Sent(), lines=[AUTHORIZATION])))[0] == token("good").decode()
