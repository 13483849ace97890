"""The scenario of the demo as a table: requests, and what each of them must be answered."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jwtgate.core.compact import decode_base64url, encode_base64url
from jwtgate.core.errors import (
    AuthError,
    BadSignature,
    BindingRejected,
    CertificateRejected,
    HeaderRejected,
    InsufficientScope,
    InvalidProof,
    InvalidRequest,
    InvalidToken,
    MissingCredentials,
    OpaqueToken,
    ProofReplayed,
    TokenExpired,
    UndecryptableToken,
    UnknownKey,
    UntrustedIssuer,
    WrongAudience,
    WrongTokenKind,
)
from jwtgate.tenant import Application

from .sender import Sender
from .stage import EncryptionKey, Stage

HOUR = 3600  # seconds

Token = Callable[[Stage], str]
Headers = tuple[tuple[str, str], ...]
Sent = Callable[[Stage, str, str], Headers]  # of a request with this method to this URL


@dataclass(frozen=True, slots=True)
class Expected:
    """What the sample API must answer. refusal: the name of the error in its log; None where it lets the caller in."""

    status: int
    challenge: str | None = None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One request.

    sends: what is special about it, for a reader. request: method and path. headers: those that it is sent with.
    worth_trying: `--serve` prints it as a curl line.
    """

    sends: str
    request: str
    headers: Sent
    expected: Expected
    worth_trying: bool = False


# ------------------------------------------------------------------------------------------------------ what is sent


def nothing(_: Stage, __: str, ___: str) -> Headers:
    return ()


def bearer(*tokens: Token) -> Sent:
    """One Authorization header for each token."""
    return lambda stage, _, __: tuple(("Authorization", f"Bearer {token(stage)}") for token in tokens)


def with_certificate(token: Token, of: Callable[[Stage], Sender]) -> Sent:
    """As it comes from a proxy that has ended a TLS connection with this sender's certificate."""
    return lambda stage, _, __: (*bearer(token)(stage, _, __), ("Client-Cert", of(stage).client_cert))


def proved(token: Token, of: Callable[[Stage], Sender], *, elsewhere: bool = False) -> Sent:
    """With a proof of this sender's key, for this request or for one to another URL."""

    def headers(stage: Stage, method: str, url: str) -> Headers:
        sent = token(stage)
        target = "https://another-api.example/messages" if elsewhere else url
        return ("Authorization", f"DPoP {sent}"), ("DPoP", of(stage).proof(method, target, sent))

    return headers


def unproved(token: Token) -> Sent:
    return lambda stage, _, __: (("Authorization", f"DPoP {token(stage)}"),)


def replayed(sent: Sent) -> Sent:
    """The same once more, after it was taken."""

    def headers(stage: Stage, method: str, url: str) -> Headers:
        same = sent(stage, method, url)
        stage.http.request(method, url, headers=same).raise_for_status()
        return same

    return headers


def sender(stage: Stage) -> Sender:
    return stage.sender


def thief(stage: Stage) -> Sender:
    return stage.thief


def issued(name: str, application: Callable[[Stage], Application] | None = None) -> Token:
    """As the tenant's token endpoint gives it to an application; to the backend unless told."""
    return lambda stage: stage.token(name, application and application(stage))


def reader(stage: Stage) -> Application:
    return stage.reader


def nobody(stage: Stage) -> Application:
    """The application that a tenant makes together with an API: it may have tokens, with no permission in them."""
    return stage.apis["auth0"].test_application


def after_rotation(stage: Stage) -> str:
    return stage.tenant.sign(stage.claims("auth0"), api=stage.apis["auth0"], key="next")


def expired(stage: Stage) -> str:
    claims = stage.claims("auth0")
    return stage.tenant.sign({**claims, "iat": claims["iat"] - 2 * HOUR, "exp": claims["iat"] - HOUR})


def of_another_issuer(stage: Stage) -> str:
    return stage.stranger.sign({**stage.claims("auth0"), "iss": stage.stranger.issuer})


def of_an_unknown_key(stage: Stage) -> str:
    """It claims to be the tenant's, and the stranger signed it."""
    return stage.stranger.sign(stage.claims("auth0"))


def altered(stage: Stage) -> str:
    """The reader gives itself another permission."""
    header, payload, signature = stage.token("auth0", stage.reader).split(".")
    claims = json.loads(decode_base64url(payload))
    return f"{header}.{_segment({**claims, 'permissions': ['read:messages', 'write:messages']})}.{signature}"


def unsigned(stage: Stage) -> str:
    """RFC 7519 section 6: an unsecured JWT has an empty signature."""
    _, payload, _ = stage.token("auth0").split(".")
    return f"{_segment({'alg': 'none', 'typ': 'JWT'})}.{payload}."


def unsigned_with_a_signature(stage: Stage) -> str:
    _, _, signature = stage.token("auth0").split(".")
    return unsigned(stage) + signature


def signed_with_the_public_key(stage: Stage) -> str:
    """HMAC takes any bytes as its secret, and everybody knows these (RFC 8725 section 2.1)."""
    key = stage.tenant.keys.current
    return stage.tenant.sign(stage.claims("auth0"), algorithm="HS256", secret=key.public_pem(), header={"kid": key.kid})


def signed_by_another_algorithm(stage: Stage) -> str:
    return stage.tenant.sign(stage.claims("ps256"), algorithm="RS256")


def of_the_other_profile(stage: Stage) -> str:
    return stage.tenant.sign(stage.claims("rfc9068"), api=stage.apis["auth0"])


def id_token(stage: Stage) -> str:
    """What an application gets to learn who logged in (OpenID Connect Core 1.0 section 2)."""
    claims = stage.claims("auth0")
    return stage.tenant.sign(
        {
            "iss": claims["iss"],
            "sub": "auth0|ada",
            "aud": stage.backend.client_id,
            "iat": claims["iat"],
            "exp": claims["iat"] + HOUR,
            "nonce": secrets.token_urlsafe(16),
            "name": "Ada",
        }
    )


def opaque(_: Stage) -> str:
    return secrets.token_urlsafe(24)


def encrypted_for_another(stage: Stage) -> str:
    """It has the name of the API's key, and another key opens it."""
    signed = stage.tenant.sign(stage.claims("encrypted"), api=stage.apis["encrypted"])
    return EncryptionKey("key-1").registered.encrypt(signed)


def of_a_user(*granted: str) -> Token:
    """RBAC: the application asked for the scope; the roles of this user grant it, or not."""

    def token(stage: Stage) -> str:
        claims = stage.claims("auth0")
        del claims["gty"]
        claims |= {"sub": "auth0|ada", "scope": "read:messages", "permissions": list(granted)}
        return stage.tenant.sign(claims)

    return token


def from_before_rbac(stage: Stage) -> str:
    claims = stage.claims("auth0")
    del claims["permissions"]
    return stage.tenant.sign(claims)


def _segment(members: Mapping[str, Any]) -> str:
    return encode_base64url(json.dumps(members).encode())


# ------------------------------------------------------------------------------------------------- what is expected


def refused(status: int, because: type[AuthError], scope: str = "") -> Expected:
    """The whole challenge: realm, error and its sentence, and what to ask for (RFC 6750 section 3)."""
    wanted = f', scope="{scope}"' if scope else ""
    return Expected(status, f'Bearer realm="api"{_told(because)}{wanted}', because.__name__)


def unbound(because: type[AuthError], *, under: str = "DPoP") -> Expected:
    """A challenge for each scheme that is taken; the error stands on the one that was used (RFC 9449 section 7.2)."""
    told = {"Bearer": "", "DPoP": "", under: _told(because)}
    challenge = f'Bearer realm="api"{told["Bearer"]}, DPoP realm="api"{told["DPoP"]}, algs="ES256"'
    return Expected(401, challenge, because.__name__)


def _told(because: type[AuthError]) -> str:
    return f', error="{because.code}", error_description="{because.sentence}"' if because.code else ""


def invalid(because: type[InvalidToken]) -> Expected:
    return refused(401, because)


def lacks(scope: str) -> Expected:
    return refused(403, InsufficientScope, scope)


WELCOME: Final = Expected(200)

READ, WRITE = "GET /auth0/messages", "POST /auth0/messages"
DPOP, MTLS, ENCRYPTED = "GET /dpop/messages", "GET /mtls/messages", "GET /encrypted/messages"
BOUND: Final = issued("dpop")
OF_CERTIFICATE: Final = issued("mtls")

# Adding a request is one line.
CASES: Final = (
    Case("no token, where none is needed", "GET /public", nothing, WELCOME, worth_trying=True),
    Case("no token", READ, nothing, refused(401, MissingCredentials), worth_trying=True),
    # Good tokens, of every kind of API that can be registered.
    Case("a good token: RS256, Auth0 profile", READ, bearer(issued("auth0")), WELCOME, worth_trying=True),
    Case("a good token: RFC 9068 profile", "GET /rfc9068/messages", bearer(issued("rfc9068")), WELCOME),
    Case("a good token: PS256", "GET /ps256/messages", bearer(issued("ps256")), WELCOME),
    Case("a good token: HS256", "GET /hs256/messages", bearer(issued("hs256")), WELCOME),
    Case("a good token: the tenant's next key", READ, bearer(after_rotation), WELCOME),
    # The identifier counts to its last character.
    Case("the token of the API without the slash", "GET /no-slash/messages", bearer(issued("no-slash")), WELCOME),
    Case("the same token, at the API with the slash", READ, bearer(issued("no-slash")), invalid(WrongAudience)),
    # Genuine tokens that are not, or no longer, for this API.
    Case("expired an hour ago", READ, bearer(expired), invalid(TokenExpired), worth_trying=True),
    Case("of another issuer", READ, bearer(of_another_issuer), invalid(UntrustedIssuer)),
    Case("an ID token", READ, bearer(id_token), invalid(WrongTokenKind)),
    Case("an opaque token", READ, bearer(opaque), invalid(OpaqueToken)),
    Case("RS256, at a PS256 API", "GET /ps256/messages", bearer(signed_by_another_algorithm), invalid(HeaderRejected)),
    Case(
        "Auth0 profile, at an RFC 9068 API",
        "GET /rfc9068/messages",
        bearer(of_the_other_profile),
        invalid(HeaderRejected),
    ),
    # Attacks.
    Case("payload altered: one more permission", WRITE, bearer(altered), invalid(BadSignature), worth_trying=True),
    Case("alg: none, without a signature", READ, bearer(unsigned), invalid(HeaderRejected)),
    Case("alg: none, with the old signature", READ, bearer(unsigned_with_a_signature), invalid(HeaderRejected)),
    Case("HS256, signed with the public key", READ, bearer(signed_with_the_public_key), invalid(HeaderRejected)),
    Case("signed with an unknown key", READ, bearer(of_an_unknown_key), invalid(UnknownKey)),
    Case("two tokens in one request", READ, bearer(issued("auth0"), expired), refused(400, InvalidRequest)),
    # What the caller may do.
    Case("a good token with no permissions", READ, bearer(issued("auth0", nobody)), lacks("read:messages")),
    Case("a machine that may only read, reads", READ, bearer(issued("auth0", reader)), WELCOME),
    Case("the same machine writes", WRITE, bearer(issued("auth0", reader)), lacks("write:messages"), worth_trying=True),
    Case("a machine that may do both, writes", WRITE, bearer(issued("auth0")), WELCOME),
    Case("RBAC on: a user whose role grants it", READ, bearer(of_a_user("read:messages")), WELCOME),
    Case("RBAC on: the scope, and no role for it", READ, bearer(of_a_user()), lacks("read:messages")),
    Case("RBAC on: a token from before it was", READ, bearer(from_before_rbac), lacks("read:messages")),
    Case("RBAC off: the scope holds it", "GET /rbac-off/messages", bearer(issued("rbac-off", reader)), WELCOME),
    Case(
        "RBAC off: the scope does not hold it",
        "POST /rbac-off/messages",
        bearer(issued("rbac-off", reader)),
        lacks("write:messages"),
    ),
    # Tokens that are bound to a key: whoever has stolen one has not stolen the key.
    Case("DPoP: a token with a proof of its key", DPOP, proved(BOUND, sender), WELCOME),
    Case("DPoP: the same proof once more", DPOP, replayed(proved(BOUND, sender)), unbound(ProofReplayed)),
    Case("DPoP: a proof for another URL", DPOP, proved(BOUND, sender, elsewhere=True), unbound(InvalidProof)),
    Case("DPoP: a proof of another key", DPOP, proved(BOUND, thief), unbound(BindingRejected)),
    Case("DPoP: no proof", DPOP, unproved(BOUND), unbound(InvalidProof)),
    Case("DPoP: as a bearer token", DPOP, bearer(BOUND), unbound(BindingRejected, under="Bearer"), worth_trying=True),
    # Tokens that are bound to a certificate; here the proxy tells which one the TLS connection had.
    Case("mutual TLS: with the certificate", MTLS, with_certificate(OF_CERTIFICATE, sender), WELCOME),
    Case("mutual TLS: with another", MTLS, with_certificate(OF_CERTIFICATE, thief), invalid(CertificateRejected)),
    Case("mutual TLS: with none", MTLS, bearer(OF_CERTIFICATE), invalid(CertificateRejected)),
    # Tokens that only their API can read.
    Case("encrypted for this API", ENCRYPTED, bearer(issued("encrypted")), WELCOME),
    Case("encrypted for another key", ENCRYPTED, bearer(encrypted_for_another), invalid(UndecryptableToken)),
)
