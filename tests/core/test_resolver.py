"""Issuers that a resolver names: trusted before any network, each with keys of its own, and not too many of them."""

from __future__ import annotations

from typing import Any

import pytest

from jwtgate import ApiSettings, AuthError, Issuer, Request, SettingsError, Unavailable
from jwtgate.core.effects import FetchFailed, Moment, Now, ResolveIssuer
from jwtgate.core.errors import UntrustedIssuer
from jwtgate.core.flow import authenticate, authenticate_token
from jwtgate.core.jwk import SharedSecret
from jwtgate.core.key_state import SOFT_AGE
from jwtgate.core.keys import ISSUER_LENGTH, RESOLVED, IssuerKeys, keys_of
from jwtgate.core.snapshot import Kept
from tests.making import API, NOW, SECRET, Issuing, drive

START = 5_000.0
FIXED, FIRST, SECOND = (
    Issuing(),
    Issuing(url="https://one.tenants.test/"),
    Issuing(url="https://two.tenants.test/", number=2),
)


class Tenants:
    """A resolver that a test fills, and that remembers what it was asked."""

    def __init__(self, *issuers: Any) -> None:
        self.known = {issuer.url: issuer for issuer in issuers}
        self.asked: list[tuple[str, Request | None]] = []

    def __call__(self, stated: str, request: Request | None) -> Any:
        self.asked.append((stated, request))
        return self.known.get(stated)


class World:
    def __init__(self, resolver: Any, issuers: Any = (), **settings: Any) -> None:
        self.settings = ApiSettings(identifier=API, issuers=issuers, resolver=resolver, **settings)
        self.keys = keys_of(self.settings)
        self.at = 0.0
        self.fetched: list[str] = []
        self.documents: dict[str, Any] = {}
        for issuing in (FIXED, FIRST, SECOND):
            self.documents |= issuing.documents(issuing.key().jwk())

    def ask(self, token: str, request: Request | None = None) -> str:
        flow = authenticate_token(token, self.settings, self.keys)
        if request is not None:
            flow = authenticate(request, self.settings, self.keys)
        try:
            drive(flow, Moment(NOW, START + self.at), self.documents, self.fetched)
        except AuthError as error:
            self.error = error
            return type(error).__name__
        return "ok"

    def known(self) -> list[IssuerKeys]:
        return list(self.keys.each())


# --------------------------------------------------------------------------------------------------------- who is asked


def test_an_issuer_that_the_resolver_names_is_trusted() -> None:
    tenants = Tenants(Issuer(FIRST.url))
    world = World(tenants)
    assert [world.ask(FIRST.token()), world.ask(FIRST.token())] == ["ok", "ok"]
    assert world.fetched == [FIRST.discovery_url, FIRST.jwks_uri]
    # The answer may depend on the request: it is asked each time.
    assert tenants.asked == [(FIRST.url, None)] * 2


def test_an_issuer_that_it_does_not_name_is_not_asked_for_anything() -> None:
    world = World(Tenants(Issuer(FIRST.url)))
    assert world.ask(SECOND.token()) == "UntrustedIssuer"
    assert (world.fetched, world.known()) == ([], [])


def test_the_issuers_in_the_settings_come_first_and_cost_no_question() -> None:
    tenants = Tenants(Issuer(FIRST.url))
    world = World(tenants, [Issuer(FIXED.url)])
    assert [world.ask(FIXED.token()), world.ask(FIRST.token())] == ["ok", "ok"]
    assert [stated for stated, _ in tenants.asked] == [FIRST.url]


@pytest.mark.parametrize(
    ("stated", "asked"),
    [
        ("http://idp.internal/", True),
        ("https://one.test/" + "x" * (ISSUER_LENGTH - 17), True),
        ("https://one.test/" + "x" * (ISSUER_LENGTH - 16), False),
    ],
    ids=["http", "longest", "too long"],
)
def test_a_resolver_is_asked_about_any_address_that_an_issuer_may_have(stated: str, asked: bool) -> None:
    tenants = Tenants()
    assert World(tenants).ask(FIRST.token(iss=stated)) == "UntrustedIssuer"
    assert [found for found, _ in tenants.asked] == [stated] * asked


def test_the_resolver_sees_the_request() -> None:
    def by_host(stated: str, request: Request | None) -> Issuer | None:
        hosts = [] if request is None else request.values("host")
        return Issuer(stated) if hosts == ["one.api.test"] and stated == FIRST.url else None

    world = World(by_host)

    def request(host: str) -> Request:
        return Request("GET", API, [("Host", host), ("Authorization", f"Bearer {FIRST.token()}")])

    assert world.ask("", request("one.api.test")) == "ok"
    assert world.ask("", request("two.api.test")) == "UntrustedIssuer"
    assert world.ask(FIRST.token()) == "UntrustedIssuer"


@pytest.mark.parametrize(
    "stated",
    [
        None, 7, True, ["https://one.tenants.test/"], {}, "", "x", "one.tenants.test", "ftp://one.tenants.test/",
        "file:///etc/passwd", "https://one.tenants.test/?x", "https://one.tenants.test/#x", "https://u@one.tenants.test/",
        "https://one.tenants.test/\r\n", "https://önë.test/", "https://one.test/" + "x" * 2_048,
    ],
    ids=lambda stated: repr(stated)[:40],
)  # fmt: skip
def test_the_resolver_is_not_asked_about_what_is_no_issuer(stated: Any) -> None:
    tenants = Tenants()
    assert World(tenants).ask(FIRST.token(iss=stated)) == "UntrustedIssuer"
    assert tenants.asked == []


def test_without_a_resolver_there_is_nobody_to_ask() -> None:
    world = World(None, [Issuer(FIXED.url)])
    assert world.ask(FIRST.token()) == "UntrustedIssuer"


# --------------------------------------------------------------------------------------------------- what it may answer


def test_another_issuer_than_the_stated_one_is_no_answer() -> None:
    world = World(lambda stated, request: Issuer(FIRST.url))
    assert world.ask(SECOND.token()) == "UntrustedIssuer"
    assert isinstance(world.error, UntrustedIssuer)
    assert (world.error.actual, world.fetched) == (SECOND.url, [])


@pytest.mark.parametrize("answer", ["https://one.tenants.test/", True, {}, Issuer], ids=repr)
def test_an_answer_of_another_type_refuses_the_request_and_blames_us(answer: Any) -> None:
    world = World(lambda stated, request: answer)
    assert world.ask(FIRST.token()) == "Unavailable"
    assert (world.error.status, world.fetched) == (503, [])


def test_an_issuer_that_could_never_be_right_refuses_the_request_and_blames_us() -> None:
    world = World(Tenants(Issuer(FIRST.url, signing_algorithms=["HS256"])))
    assert world.ask(FIRST.token()) == "Unavailable"
    assert world.known() == []


def test_a_resolver_that_fails_is_our_trouble() -> None:
    world = World(Tenants())
    flow = authenticate_token(FIRST.token(), world.settings, world.keys)
    assert next(flow) == Now()
    effect = flow.send(Moment(NOW, START))
    assert effect == ResolveIssuer(world.settings.resolver, FIRST.url, None)  # type: ignore[arg-type]
    with pytest.raises(Unavailable) as error:
        flow.throw(FetchFailed("the resolver failed: ConnectionError", "resolver"))
    assert (error.value.status, error.value.refusal is not None) == (503, True)
    assert error.value.reason == "the resolver failed: ConnectionError"


def test_the_issuer_that_is_not_trusted_is_told_as_it_was_stated() -> None:
    for tenants, stated in ((Tenants(), SECOND.url), (Tenants(), "no address")):
        world = World(tenants)
        assert world.ask(FIRST.token(iss=stated)) == "UntrustedIssuer"
        assert isinstance(world.error, UntrustedIssuer)
        assert world.error.actual == stated


def test_the_keys_of_a_resolved_issuer_are_remembered_for_other_tokens() -> None:
    world = World(Tenants(Issuer(FIRST.url)))
    assert [world.ask(FIRST.token(sub=name)) for name in "abc"] == ["ok"] * 3
    assert world.fetched == [FIRST.discovery_url, FIRST.jwks_uri]
    assert len(world.known()) == 1
    (own,) = world.known()
    assert (own.used_at, own.state.loaded_at, world.keys.wants(own)) == (START, START, True)


@pytest.mark.parametrize("resolver", ["x", 7, {}])
def test_a_resolver_can_be_called(resolver: Any) -> None:
    with pytest.raises(SettingsError) as refused:
        ApiSettings(identifier=API, resolver=resolver)
    assert refused.value.setting == "resolver"


def test_settings_need_an_issuer_or_somebody_who_names_one() -> None:
    with pytest.raises(SettingsError) as refused:
        ApiSettings(identifier=API)
    assert refused.value.setting == "issuers"
    assert ApiSettings(identifier=API, resolver=Tenants()).issuers == ()


# ---------------------------------------------------------------------------------------------------- each with its own


def test_each_issuer_has_its_own_rules() -> None:
    strict = Issuer(FIRST.url, identifier="https://one.test/", signing_algorithms=["PS256"], profile="auth0", leeway=0)
    shared = Issuer(SECOND.url, signing_algorithms=["HS256"], signing_secret=SECRET)
    world = World(Tenants(strict, shared))
    assert world.ask(FIRST.token()) == "HeaderRejected"
    assert world.ask(FIRST.token(algorithm="PS256")) == "WrongAudience"
    assert world.ask(FIRST.token(algorithm="PS256", aud="https://one.test/")) == "ok"
    assert world.ask(FIRST.token(algorithm="PS256", aud="https://one.test/", exp=NOW - 1)) == "TokenExpired"
    assert world.ask(SECOND.token(algorithm="HS256")) == "ok"
    assert {type(keys.given) for keys in world.known()} == {type(None), SharedSecret}


def test_a_secret_may_be_for_issuers_that_only_the_resolver_knows() -> None:
    shared = Issuer(FIRST.url, signing_algorithms=["HS256"])
    assert World(Tenants(shared), signing_secret=SECRET).ask(FIRST.token(algorithm="HS256")) == "ok"


def test_no_key_serves_another_issuer() -> None:
    world = World(Tenants(Issuer(FIRST.url), Issuer(SECOND.url)))
    world.documents |= SECOND.documents(SECOND.key().jwk(kid=FIRST.key().kid))
    assert world.ask(FIRST.token()) == "ok"
    assert world.ask(FIRST.token(iss=SECOND.url)) == "BadSignature"


def test_the_same_issuer_with_other_rules_has_keys_of_its_own() -> None:
    def by_host(stated: str, request: Request | None) -> Issuer:
        host = request.values("host")[0] if request else ""
        return Issuer(stated, identifier=f"https://{host}/")

    world = World(by_host)
    for host in ("one.test", "two.test"):
        for audience, answer in (("https://one.test/", host == "one.test"), ("https://two.test/", host == "two.test")):
            headers = [("Host", host), ("Authorization", f"Bearer {FIRST.token(aud=audience)}")]
            assert world.ask("", Request("GET", API, headers)) == ("ok" if answer else "WrongAudience")
    assert len(world.known()) == 2


# --------------------------------------------------------------------------------------------------------- not too many


def test_the_keys_of_an_issuer_that_nobody_uses_make_room() -> None:
    shared = {"signing_algorithms": ["HS256"], "signing_secret": SECRET}
    world = World(lambda stated, request: Issuer(stated, **shared))
    urls = [f"https://t-{n}.test/" for n in range(RESOLVED + 2)]
    for n, url in enumerate(urls):
        world.at = n
        assert world.ask(Issuing(url=url).token(algorithm="HS256")) == "ok"
        if n == RESOLVED // 2:  # the first is used again
            world.ask(Issuing(url=urls[0]).token(algorithm="HS256"))
    assert {keys.issuer.url for keys in world.known()} == set(urls) - {urls[1], urls[2]}


def test_made_up_issuers_do_not_push_out_the_keys_of_real_ones() -> None:
    world = World(lambda stated, request: Issuer(stated))
    world.ask(FIRST.token())
    (real,) = world.known()
    real.settle(next(iter(attempts(world, real))))
    for n in range(RESOLVED + 5):
        world.at = 1.0 + n
        world.ask(Issuing(url=f"https://made-up-{n}.test/").token())
    known = world.known()
    assert len(known) == RESOLVED
    assert real in known


def test_a_refresh_that_no_request_asks_for_is_for_issuers_in_use() -> None:
    world = World(Tenants(Issuer(FIRST.url)), [Issuer(FIXED.url)])
    world.ask(FIXED.token())
    world.ask(FIRST.token())
    fixed, resolved = world.known()
    assert world.keys.wants(fixed)
    world.at = 1.0
    resolved.settle(next(iter(attempts(world, resolved))))
    assert not world.keys.wants(resolved)  # nobody has used it since
    world.at = 2.0
    world.ask(FIRST.token())
    assert world.keys.wants(resolved)
    stranger = IssuerKeys(resolved.issuer, resolved.policy, None)
    assert not world.keys.wants(stranger)


def attempts(world: World, keys: IssuerKeys) -> Any:
    """The outcome of a load of these keys now."""
    from jwtgate.core.key_state import Attempt

    at = START + world.at
    yield Attempt(keys.begin() + 1, at, at, keys=keys.state.keys)


# ----------------------------------------------------------------------------------------- snapshots, and being watched


def test_a_snapshot_is_kept_for_issuers_that_will_be_named() -> None:
    issuer = Issuer(FIRST.url)
    world = World(Tenants(issuer))
    kept = Kept(FIRST.jwks(FIRST.key().jwk()), NOW - 100)
    assert world.keys.restore({FIRST.url: kept, "https://other.test/": kept}, Moment(NOW, START)) == []
    world.documents = {}
    assert world.ask(FIRST.token()) == "ok"
    (keys,) = world.known()
    assert (keys.state.restored, keys.state.loaded_at) == (True, START - 100)
    assert set(world.keys.export(Moment(NOW, START))) == {FIRST.url}


def test_the_status_names_those_in_the_settings_and_then_those_in_use() -> None:
    world = World(Tenants(Issuer(FIRST.url)), [Issuer(FIXED.url)])
    world.ask(FIRST.token())
    status = world.keys.status(START + 5)
    assert [(one.issuer, one.ready, one.age) for one in status.issuers] == [
        (FIXED.url, False, None),
        (FIRST.url, True, 5.0),
    ]
    assert not status.ready
    world.ask(FIXED.token())
    assert world.keys.status(START).ready
    assert world.keys.ready(START)


def test_nobody_in_the_settings_is_nobody_to_wait_for() -> None:
    assert World(Tenants()).keys.ready(START)


def test_another_process_has_another_jitter() -> None:
    world = World(Tenants(Issuer(FIRST.url)), [Issuer(FIXED.url)])
    world.ask(FIRST.token())
    world.keys.reseed(0.3)
    assert {keys.seed for keys in world.known()} == {0.3}
    world.at = SOFT_AGE
    world.ask(FIRST.token())
    assert START + world.at < world.known()[1].state.refresh_at < START + world.at + SOFT_AGE
