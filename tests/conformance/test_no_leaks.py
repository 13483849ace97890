"""Nobody sees a token, a proof or a secret again: not the log, nor an error, nor a `repr`, nor an answer, nor a report.

`python -m pytest -p tests.conformance.canaries` looks for them through any other tests. Here it is shown that this
looking finds what is there, what is promised of an error's frames, and what becomes of the characters with which a
header could be broken open.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, Final

import pytest

from jwtgate import ApiSettings, AsyncVerifier, AuthError, Issuer, Request, SettingsError, Verifier, scope
from jwtgate.core.binding import Senders
from jwtgate.core.challenge import answer
from jwtgate.core.compact import parse
from jwtgate.core.decryption_keys import DecryptionKey
from jwtgate.core.dpop import DpopRules, Proof
from jwtgate.core.errors import InvalidToken
from jwtgate.core.jwk import SharedSecret, thumbprint
from jwtgate.core.keys import keys_of
from jwtgate.core.nonces import Nonces
from jwtgate.core.request import Credentials, read_credentials
from jwtgate.stores import open_store
from jwtgate.verifier import log_refusal
from tests import doors, sealing
from tests.cli.command import here
from tests.conformance.canaries import Canaries, Watch, passwords_of, told_of, watching
from tests.doors import (
    ASGI_DOORS,
    BARE_DOORS,
    DENIAL,
    WSGI_DOORS,
    Answer,
    Closed,
    Sent,
    ask_asgi,
    ask_wsgi,
    open_websocket,
)
from tests.making import ABSENT, API, ISSUER, NOW, Issuing, base64url, compact, segment, signing_key

ISSUING: Final = Issuing()
SHARED: Final = Issuing(url="https://secret.test/")
SIGNING_SECRET: Final = b"canary-that-signs-4f1d9b7a20c6e385"
NONCE_KEY: Final = b"canary-of-the-nonces-77b3c1d09e4a2f68"
STORE: Final = "rediss://canary-user:p%40ss-canary-51f7@127.0.0.1:1/0?ssl_password=canary-of-tls-90ab"
KEY_PASSWORD: Final = "canary-of-the-pem-3c9e"
HOLDER: Final = signing_key("P-256", 2)
JKT: Final = thumbprint(HOLDER.jwk())


def settings(**changes: Any) -> ApiSettings:
    issuers = [
        Issuer(ISSUING.url, jwks=ISSUING.jwks(), signing_algorithms=["RS256", "ES256", "EdDSA"]),
        Issuer(SHARED.url, signing_secret=SIGNING_SECRET, signing_algorithms=["HS256"]),
    ]
    given = {
        "proof_of_possession": ("dpop", "mtls"),
        "decryption_keys": [DecryptionKey(sealing.pem(password=KEY_PASSWORD.encode()), password=KEY_PASSWORD)],
        "trusted_proxies": ["127.0.0.1"],
        "certificate_header": "Client-Cert",
    }
    return ApiSettings(**{"identifier": API, "issuers": issuers, **given, **changes})


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Looks for all that comes in while the test lasts; what it saw is a failure."""
    watch = Watch()
    with watching(watch):
        yield watch
    assert watch.take_leaks() == []


@pytest.fixture(autouse=True)
def _every_line_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


# --- what is sent -------------------------------------------------------------------------------------------


def proof(token: str, **changes: Any) -> str:
    """A DPoP proof for a GET of /private."""
    ath = base64url(hashlib.sha256(token.encode()).digest())
    claims = {"jti": "canary-jti", "htm": "GET", "htu": f"{API}private", "iat": int(NOW), "ath": ath, **changes}
    jwk = HOLDER.jwk(kid=ABSENT, use=ABSENT)
    return compact({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}, claims, HOLDER)


GOOD: Final = ISSUING.token(algorithm="EdDSA")
BOUND: Final = ISSUING.token(algorithm="EdDSA", cnf={"jkt": JKT})
WITH_CERTIFICATE: Final = ISSUING.token(algorithm="EdDSA", cnf={"x5t#S256": "A" * 43})
TOKENS: Final[Mapping[str, str]] = {
    "good": GOOD,
    "bound to a key": BOUND,
    "bound to a certificate": WITH_CERTIFICATE,
    "expired": ISSUING.token(algorithm="EdDSA", exp=1),
    "of another API": ISSUING.token(algorithm="EdDSA", aud="https://other.test/"),
    "of another issuer": ISSUING.token(algorithm="EdDSA", iss="https://evil.test/"),
    "of an unknown key": ISSUING.token(algorithm="EdDSA", header={"kid": "another"}),
    "of another algorithm": ISSUING.token(algorithm="ES256", header={"alg": "HS256"}),
    "badly signed": f"{GOOD[:-8]}AAAAAAAA",
    "signed with another secret": SHARED.token(algorithm="HS256"),
    "an ID token": ISSUING.token(algorithm="EdDSA", nonce="n"),
    "of a wrong type": ISSUING.token(algorithm="EdDSA", sub=["a"]),
    "unsigned": compact({"alg": "none"}, ISSUING.claims(), b"", "HS256").rpartition(".")[0] + ".",
    "no JSON": f"{segment('{')}.{segment(ISSUING.claims())}.{base64url(b'x' * 64)}",
    "padded": f"{GOOD}=",
    "cut": GOOD[:-1],
    "of four segments": f"{GOOD}.{base64url(b'another segment of it')}",
    "too long": GOOD + "A" * 17_000,
    "encrypted": sealing.seal(GOOD),
    "encrypted for somebody else": sealing.seal(GOOD, key=sealing.private_key(2)),
    "encrypted, and expired": sealing.seal(ISSUING.token(algorithm="EdDSA", exp=1)),
    "encrypted, and damaged": f"{sealing.seal(GOOD)[:-4]}AAAA",
    "encrypted, and no token": sealing.seal("canary: this is no token at all"),
    "opaque": "canary-opaque-Zm9yIHVzZXJpbmZvIGFsb25l",
    "a refresh token": "v1.canary-refresh-Zm9yIHVzZXJpbmZvIGFsb25l",
}
Lines = Sequence[tuple[str, str]]
# Whole requests in which a good token, or the proof of one, stands where it does not belong.
REQUESTS: Final[Mapping[str, Lines]] = {
    "twice": [("Authorization", f"Bearer {GOOD}"), ("Authorization", f"Bearer {BOUND}")],
    "joined": [("Authorization", f"Bearer {GOOD}, Bearer {BOUND}")],
    "without a scheme": [("Authorization", GOOD)],
    "as a scheme": [("Authorization", f"{GOOD} {GOOD}")],
    "of another scheme": [("Authorization", f"Basic {GOOD}")],
    "quoted": [("Authorization", f'Bearer "{GOOD}"')],
    "with a comma": [("Authorization", f"Bearer {GOOD},")],
    "as a parameter": [("Authorization", f"Bearer token={GOOD}")],
    "with letters of nobody": [("Authorization", f"Bearer {GOOD}\u00e9")],
    "in a cookie": [("Cookie", f"token={GOOD}")],
    "with a proof, as a bearer": [("Authorization", f"Bearer {BOUND}"), ("DPoP", proof(BOUND))],
    "without its proof": [("Authorization", f"DPoP {BOUND}")],
    "with its proof": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND))],
    "with a proof of another token": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(GOOD))],
    "with a proof of another request": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND, htm="POST"))],
    "with a proof of another address": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND, htu="https://x/"))],
    "with an old proof": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND, iat=1))],
    "with a proof of wrong types": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND, jti=[1], htm={}))],
    "with a damaged proof": [("Authorization", f"DPoP {BOUND}"), ("DPoP", f"{proof(BOUND)[:-8]}AAAAAAAA")],
    "with two proofs": [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND)), ("DPoP", proof(BOUND))],
    "with itself as a proof": [("Authorization", f"DPoP {BOUND}"), ("DPoP", BOUND)],
    "with a word as a proof": [("Authorization", f"DPoP {BOUND}"), ("DPoP", "canary-opaque-Zm9yIHVzZXJpbmZvIGFsb2")],
    "proof and token exchanged": [("Authorization", f"DPoP {proof(BOUND)}"), ("DPoP", BOUND)],
    "a proof of an unbound token": [("Authorization", f"DPoP {GOOD}"), ("DPoP", proof(GOOD))],
    **{f"{name}, as a bearer": [("Authorization", f"Bearer {token}")] for name, token in TOKENS.items()},
}
IN_THE_QUERY: Final = Request("GET", f"{API}private?access_token={GOOD}", [])
each_request = pytest.mark.parametrize("lines", REQUESTS.values(), ids=REQUESTS)


def request_of(lines: Lines) -> Request:
    return Request("GET", f"{API}private", lines, client="127.0.0.1")


def refusal_of(lines: Lines, own: ApiSettings | None = None) -> AuthError | None:
    try:
        Verifier(own or settings(), clock=doors.Clock()).verify_request(request_of(lines))
    except AuthError as error:
        return error
    return None


# --- that it is found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [GOOD, SIGNING_SECRET, sealing.pem(), {"d": "canary-of-a-jwk-0123456789-0123456789"}, b"\0" * 9 + NONCE_KEY],
)
def test_a_secret_is_seen_whole_and_in_part(secret: Any) -> None:
    canaries = Canaries()
    canaries.plant("it", secret)
    text = secret["d"] if isinstance(secret, dict) else secret
    text = text if isinstance(text, str) else text.decode("latin-1")
    assert canaries.seen_in(f"before {text} after")
    assert canaries.seen_in(f"({text[3:-3]})")
    assert not canaries.seen_in("before and after, and nothing in between")
    canaries.forget()
    assert not canaries.seen_in(text)


@pytest.mark.parametrize("form", [bytes.hex, base64url, lambda octets: repr(octets), lambda octets: octets.decode()])
def test_a_secret_of_bytes_is_seen_however_it_is_written(form: Callable[[bytes], str]) -> None:
    canaries = Canaries()
    canaries.plant("it", SIGNING_SECRET)
    assert [*canaries.seen_in(f"x={form(SIGNING_SECRET)}")] == ["it"]


def test_passwords_of_a_store_are_seen_as_they_are_written_and_as_they_are_meant() -> None:
    canaries = Canaries()
    for password in passwords_of(STORE):
        canaries.plant_password("it", password)
    for text in ("p%40ss-canary-51f7", "p@ss-canary-51f7", "canary-of-tls-90ab", STORE):
        assert canaries.seen_in(f"({text})").keys() == {"it"}


def leaks_of(act: Callable[[], object]) -> list[str]:
    watch = Watch()
    with watching(watch):
        act()
    return watch.take_leaks()


def _logs(token: str) -> Callable[[], object]:
    def act() -> None:
        request_of([("Authorization", f"Bearer {token}")])
        log = logging.getLogger("jwtgate.nowhere")
        log.propagate = False  # or pytest would keep what it says
        log.debug("a token: %s", token)

    return act


def _catches(token: str) -> Callable[[], object]:
    def act() -> None:
        request_of([("Authorization", f"Bearer {token}")])
        with pytest.raises(InvalidToken):
            raise InvalidToken("nothing in it") from ValueError(token)

    return act


def _answers(token: str) -> Callable[[], object]:
    class Talkative(InvalidToken):
        sentence = f"This is no token: {token}"

    def act() -> None:
        request_of([("Authorization", f"Bearer {token}")])
        answer(Talkative("x"), settings())

    return act


def _explains(token: str) -> Callable[[], object]:
    inner = ISSUING.token(algorithm="EdDSA", found=token)

    def act() -> None:
        request_of([("Authorization", f"Bearer {token}")])
        Verifier(settings(), clock=doors.Clock()).explain(ISSUING.token(algorithm="EdDSA", scope=[token]))
        assert inner

    return act


@pytest.mark.parametrize("leak", [_logs, _catches, _answers, _explains])
def test_whoever_lets_a_token_out_is_caught(leak: Callable[[str], Callable[[], object]]) -> None:
    assert leaks_of(leak(GOOD))
    assert not leaks_of(lambda: request_of([("Authorization", f"Bearer {GOOD}")]))


# --- requests -----------------------------------------------------------------------------------------------


@each_request
def test_no_refusal_says_what_was_sent(lines: Lines, watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    error = refusal_of(lines)
    if error is None:
        return
    for one in (error, pickle.loads(pickle.dumps(error)), copy.copy(error)):
        watch.look_at_error(one)
        log_refusal(one)
        watch.look("headers and body", f"{one.headers} {one.body!r}")
    watch.look("the log", caplog.text)
    assert caplog.records
    assert watch.canaries.searched > 8


@each_request
def test_no_explanation_says_what_was_sent(lines: Lines, watch: Watch) -> None:
    """Claims and header are told, as that is its purpose; the signature and the token itself are not."""
    told = Verifier(settings(), clock=doors.Clock()).explain_request(request_of(lines), scope("canary"))
    watch.look("JSON", told.to_json())
    watch.look("repr", repr(told))
    watch.look("a finding", "".join(map(repr, told.findings)))


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("form", [["--json"], []], ids=["json", "text"])
def test_the_command_explains_without_the_token(name: str, form: list[str], watch: Watch) -> None:
    watch.canaries.plant("a token", TOKENS[name])
    wide = {"COLUMNS": "1000"}  # a secret that is broken over two lines would not be seen
    done = here("explain", TOKENS[name], "--identifier", API, "--issuer", ISSUER, "--offline", *form, env=wide)
    watch.look("stdout", done.stdout)
    watch.look("stderr", done.stderr)
    assert done.returncode == 1
    assert done.stdout


# --- an error's frames --------------------------------------------------------------------------------------

# A traceback that is formatted with locals shows what a function was given: whoever has an error reporter do that must
# have it leave out the variables of these names. No other of ours ever holds a token or a proof.
TO_BE_LEFT_OUT: Final = frozenset({"token"})


def locals_of(error: BaseException) -> Iterator[tuple[str, str]]:
    """Of every frame of the package in a traceback that is shown, the names and the `repr` of its variables."""
    for one in shown_chain(error):
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if f"{frame.f_globals.get('__name__')}.".startswith("jwtgate."):
                yield from ((name, repr(value)) for name, value in frame.f_locals.items())


def shown_chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def holders_of(refused: Callable[[], AuthError | None]) -> set[str]:
    watch = Watch()
    with watching(watch):
        error = refused()
    return set() if error is None else {name for name, text in locals_of(error) if watch.canaries.seen_in(text)}


def refusal_of_bare(token: str) -> AuthError | None:
    try:
        Verifier(settings(), clock=doors.Clock()).verify(token)
    except AuthError as error:
        return error
    return None


def test_of_a_request_no_variable_shows_what_was_sent() -> None:
    for lines in REQUESTS.values():
        assert holders_of(partial(refusal_of, lines)) == set()


def test_only_variables_that_are_named_here_hold_a_bare_token() -> None:
    found = [holders_of(partial(refusal_of_bare, token)) for token in TOKENS.values()]
    assert set().union(*found) == TO_BE_LEFT_OUT


@each_request
def test_no_frame_shows_a_secret_of_the_api(lines: Lines) -> None:
    canaries = Canaries()
    for secret in (SIGNING_SECRET, NONCE_KEY, sealing.pem(), sealing.private_jwk()):
        canaries.plant("a secret", secret)
    canaries.plant_password("a password", KEY_PASSWORD)
    error = refusal_of(lines, settings(dpop_nonce_key=NONCE_KEY))
    if error is not None:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert not canaries.seen_in("".join(value for _, value in locals_of(error)))
        frames = [part for part in text.split("  File ") if "/jwtgate/" in part.partition("\n")[0]]
        assert not canaries.seen_in("".join(frames))
        assert frames


# --- what can be looked at ----------------------------------------------------------------------------------


def objects() -> dict[str, Any]:
    own = settings(dpop_nonce_key=NONCE_KEY)
    verifier = Verifier(own, clock=doors.Clock())
    token = Verifier(settings(), clock=doors.Clock()).verify(GOOD)
    request = request_of([("Authorization", f"Bearer {GOOD}"), ("DPoP", proof(GOOD))])
    keyring = keys_of(own)
    unverified = parse(GOOD, 16_384)
    return {
        "settings": own,
        "an issuer": own.issuers,
        "a policy": own.policies,
        "a decryption key": own.decryption_keys,
        "a verifier": verifier,
        "an async verifier": AsyncVerifier(own),
        "what is known of it": (verifier.status(), verifier.counters()),
        "a token": token,
        "its signed part": token._signed,
        "an unverified token": unverified,
        "a request": (request, IN_THE_QUERY),
        "credentials": read_credentials(request, ("Bearer",), 16_384),
        "credentials alone": Credentials("Bearer", GOOD),
        "keys": (keyring, keyring[ISSUER], keyring[SHARED.url], keyring[SHARED.url].given),
        "a shared secret": (SharedSecret(SIGNING_SECRET), SharedSecret(SIGNING_SECRET).find(None, "HS256", "")),
        "nonces": Nonces(NONCE_KEY, 300, API),
        "what proofs must be like": DpopRules(frozenset({"ES256"}), 60, 30, Nonces(NONCE_KEY, 300, API)),
        "a proof": Proof(JKT, "jti", NOW),
        "senders": Senders(own),
        "a store": open_store(STORE, identifier=API),
        "an encrypted token": sealing.read(sealing.seal(GOOD)),
        "an explanation": verifier.explain(GOOD),
    }


def test_no_repr_shows_a_secret(watch: Watch) -> None:
    for what, value in objects().items():
        for text in (repr(value), str(value), f"{value}", repr([value]), repr({"key": value})):
            watch.look(what, text)
    watch.canaries.plant("a secret", SIGNING_SECRET)
    assert watch.canaries.seen_in(repr(SIGNING_SECRET))


# --- start-up -----------------------------------------------------------------------------------------------


def shared(secret: Any) -> ApiSettings:
    issuers = [Issuer(ISSUER, signing_algorithms=["HS256"])]
    return ApiSettings(identifier=API, issuers=issuers, signing_secret=secret)


JWK_SECRET: Final = '{"kty":"oct","k":"Y2FuYXJ5LW9mLWEtandrLTAxMjM0NTY3ODk"}'
WRONG: Final[Mapping[str, Callable[[], object]]] = {
    "a secret of text": lambda: shared(SIGNING_SECRET.decode()),
    "a short secret": lambda: shared(b"canary-too-short-17"),
    "a secret for nothing": lambda: ApiSettings(identifier=API, domain="x.test", signing_secret=SIGNING_SECRET),
    "a JWK as a secret": lambda: shared(JWK_SECRET.encode()),
    "a PEM as a secret": lambda: shared(sealing.pem().encode()),
    "a nonce key of text": lambda: settings(dpop_nonce_key=NONCE_KEY.decode()),
    "a short nonce key": lambda: settings(dpop_nonce_key=NONCE_KEY[:31]),
    "a secret in the environment": lambda: ApiSettings.from_env(
        {"AUTH0_DOMAIN": "x.test", "API_IDENTIFIER": API, "JWTGATE_SIGNING_SECRET": JWK_SECRET}
    ),
    "a nonce key in the environment": lambda: ApiSettings.from_env(
        {"AUTH0_DOMAIN": "x.test", "API_IDENTIFIER": API, "JWTGATE_DPOP_NONCE_KEY": NONCE_KEY.decode()[:20]}
    ),
    "a store of an unknown kind": lambda: Verifier(settings(store=STORE.replace("rediss:", "postgres:"))),
    "a store without a host": lambda: Verifier(settings(store="redis://:p%40ss-canary-51f7@:port/x")),
    "a store with a wrong parameter": lambda: Verifier(settings(store=f"{STORE}&passwort=canary-of-tls-90ab")),
    "a key with a wrong password": lambda: DecryptionKey(sealing.pem(password=b"another"), password=KEY_PASSWORD),
    "a key without its password": lambda: DecryptionKey(sealing.pem(password=KEY_PASSWORD.encode())),
    "a key with a password in vain": lambda: DecryptionKey(sealing.pem(), password=KEY_PASSWORD),
    "a key for signatures": lambda: DecryptionKey(sealing.private_jwk(use="sig")),
    "a damaged key": lambda: DecryptionKey(sealing.pem().replace("A", "B")),
    "a damaged JWK": lambda: DecryptionKey(sealing.private_jwk(p="AQAB")),
    "a private key among the issuer's": lambda: Issuer(ISSUER, jwks=sealing.pem()),
    "a private JWK among the issuer's": lambda: Issuer(ISSUER, jwks={"keys": [sealing.private_jwk(use="sig")]}),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_what_is_wrong_at_start_up_is_told_without_the_secret(wrong: Callable[[], object], watch: Watch) -> None:
    for secret in (SIGNING_SECRET, NONCE_KEY, JWK_SECRET, sealing.pem(), sealing.private_jwk(), b"canary-too-short-17"):
        watch.canaries.plant("a secret", secret)
    for password in (KEY_PASSWORD, *passwords_of(STORE)):
        watch.canaries.plant_password("a password", password)
    with pytest.raises(SettingsError) as refused:
        wrong()
    watch.look_at_error(refused.value)
    assert "canary" not in told_of(refused.value)


def test_a_store_that_does_not_answer_is_told_without_its_password(watch: Watch) -> None:
    error = refusal_of(REQUESTS["with its proof"], settings(store=STORE))
    assert error is not None
    assert error.status == 503
    watch.look_at_error(error)
    assert "canary" not in told_of(error).replace("canary-jti", "")


# --- headers ------------------------------------------------------------------------------------------------

# A mark that nobody writes, and beside it what could end a header line, a quoted string or a parameter.
MARK: Final = "AStranger"
BREAKERS: Final = (
    "\r\nSet-Cookie: a=b",
    "\n",
    "\r",
    '"',
    '", error="none',
    "\\",
    "\0",
    "\u00e9",
    "\u2028",
    "\U0001f600",
    "\ud800",
)
IN_CLAIMS: Final = ("iss", "aud", "sub", "scope", "permissions", "cnf", "azp", "exp", "act", "org_id", "jti")
IN_HEADERS: Final = ("alg", "kid", "typ", "crit", "cty", "jku")


def breaking(text: str) -> Iterator[tuple[str, Lines]]:
    """Requests with this text in every place that a stranger chooses."""
    for name in IN_CLAIMS:
        for value in (text, [text], {text: text}):
            changes: dict[str, Any] = {name: value}
            yield f"claim {name}", bearer(ISSUING.token(algorithm="EdDSA", **changes))
    for name in IN_HEADERS:
        yield f"header {name}", bearer(ISSUING.token(algorithm="EdDSA", header={name: text}))
    yield "scope", bearer(ISSUING.token(algorithm="EdDSA", scope=MARK))
    for name in ("jti", "htm", "htu", "nonce", "ath", "iat"):
        yield f"proof's {name}", [("Authorization", f"DPoP {BOUND}"), ("DPoP", proof(BOUND, **{name: text}))]
    for line in ("Authorization", "DPoP", "Origin", "Access-Control-Request-Method", "X-Forwarded-Host", "Client-Cert"):
        for value in (text, f"Bearer {text}", f"{text} {GOOD}", f"Bearer {GOOD}{text}"):
            yield f"line {line}", [("Authorization", f"DPoP {BOUND}"), (line, value)][line == "Authorization" :]


def bearer(token: str) -> Lines:
    return [("Authorization", f"Bearer {token}")]


def octets(lines: Lines) -> list[tuple[bytes, bytes]]:
    """As a server hands them over: what no line can hold is not sent, but UTF-8 is."""
    return [(name.encode(), value.encode("utf-8", "surrogatepass").translate(None, b"\r\n\0")) for name, value in lines]


def asks(door: str) -> Callable[[Sent], Answer]:
    own = settings(realm="api")
    if door in BARE_DOORS:
        return BARE_DOORS[door](own)
    if door in WSGI_DOORS:
        app = WSGI_DOORS[door](own)
        return lambda sent: ask_wsgi(app, sent)
    app = ASGI_DOORS[door](own)
    return lambda sent: ask_asgi(app, sent)


def is_plain(answer: Answer) -> bool:
    """Can no header line be read as two, or as another? And is nothing a stranger's in it?"""
    lines = [part for line in answer.lines for part in line]
    return all(part.isascii() and part.isprintable() and MARK not in part for part in lines)


@pytest.mark.parametrize("door", [*BARE_DOORS, *WSGI_DOORS, *ASGI_DOORS])
def test_nothing_a_stranger_writes_reaches_a_header(door: str) -> None:
    ask = asks(door)
    statuses = set()
    for path, breaker in [*product(["/private"], BREAKERS), ("/scoped", BREAKERS[0])]:
        for where, lines in breaking(f"{MARK}{breaker}"):
            answer = ask(Sent(path=path, lines=octets(lines)))
            assert is_plain(answer), (where, answer.lines)
            # An answer of the application itself may say who is calling; a refusal never does.
            assert answer.status == 200 or MARK.encode() not in answer.body, where
            statuses.add(answer.status)
    assert {200, 400, 401, 403} <= statuses


@pytest.mark.parametrize("door", ASGI_DOORS)
def test_nothing_a_stranger_writes_reaches_a_websocket_s_refusal(door: str) -> None:
    app = ASGI_DOORS[door](settings())
    for breaker in BREAKERS:
        for where, lines in breaking(f"{MARK}{breaker}"):
            opened = open_websocket(app, Sent(lines=octets(lines)))
            assert isinstance(opened, str | Closed) or (is_plain(opened) and MARK.encode() not in opened.body), where
    assert DENIAL
