"""What a stranger can send: each text becomes a request or a document, and what comes of it must hold.

Each target calls what the flow calls. It says what came out ("ok", or the error's name), and raises where that must not
be: another error than ours, a wait of more than 50 ms, or an acceptance that somebody else would refuse.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final, TypeVar
from zlib import crc32

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwtgate import AccessToken, ApiSettings, AuthError, Issuer, Request
from jwtgate.core.compact import decode_base64url
from jwtgate.core.decryption_keys import DecryptionKey
from jwtgate.core.dpop import DpopRules, Proof, check_proof
from jwtgate.core.effects import Moment
from jwtgate.core.errors import CertificateRejected, InvalidForwarding, InvalidProof, NonceRequired
from jwtgate.core.examination import examine
from jwtgate.core.flow import authenticate, authenticate_token
from jwtgate.core.jwk import ASYMMETRIC
from jwtgate.core.keys import IssuerKeys, keys_of
from jwtgate.core.nonces import Nonces
from jwtgate.core.proxies import ProxyRules, certificate_of, target_of
from jwtgate.core.snapshot import read_snapshot, write_snapshot
from jwtgate.core.uri import normalised, same_target
from tests import sealing
from tests.fuzz import opinions
from tests.fuzz.opinions import ALGORITHMS, ISSUING, SHARED, Finding, insist
from tests.making import ABSENT, API, KIND_OF, MOMENT, NOW, SECRET, base64url, drive, sign, signing_key

T = TypeVar("T")
PATIENCE: Final = 0.05  # seconds of this thread's own work
LEAST: Final = 24  # characters of a token that nobody may see again
LINES: Final = 1_000  # of a request's header; servers let fewer through

SETTINGS: Final = ApiSettings(
    identifier=API,
    issuers=[
        Issuer(ISSUING.url, jwks=ISSUING.jwks(), signing_algorithms=ALGORITHMS[ISSUING.url]),
        Issuer(SHARED.url, signing_secret=SECRET, signing_algorithms=ALGORITHMS[SHARED.url]),
    ],
)
KEYS: Final = keys_of(SETTINGS)


# ----------------------------------------------------------------------------------------------------- what must hold


def in_time(call: Callable[[], T]) -> T:
    """What the call returns. Raises Finding where it takes too long, and does so again and again."""
    began = time.thread_time()
    result = call()
    spent = time.thread_time() - began
    if spent > PATIENCE:
        spent = min(_again(call) for _ in range(3))
        insist(spent <= PATIENCE, f"{spent * 1_000:.0f} ms of work, at most {PATIENCE * 1_000:.0f}")
    return result


def _again(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began


def answered(call: Callable[[], AccessToken]) -> AccessToken | AuthError:
    """The token or the refusal. Anything else that is raised is let out."""

    def answer() -> AccessToken | AuthError:
        try:
            return call()
        except AuthError as error:
            return error

    return in_time(answer)


def check_refusal(error: AuthError, secret: str, beside: str = "") -> None:
    """Its texts are printable ASCII, bounded, and hold no part of the secret but what stands beside. Raises Finding."""
    refusal = error.refusal
    if refusal is None:
        raise Finding("a refusal that does not know what the client is told")
    insist(error.status in (400, 401, 503), f"status {error.status}")
    for text in (str(error), refusal.body.decode("ascii"), *(part for line in refusal.headers for part in line)):
        check_said(text, secret, beside)


def check_said(text: str, secret: str, beside: str = "") -> None:
    """A text for a log or a header: printable ASCII, bounded, without any part of the secret. Raises Finding."""
    insist(text.isascii() and text.isprintable() and len(text) < 4_000, f"a text that is not fit: {text!r}")
    insist(not holds_part(text, secret, beside), f"a text with the secret in it: {text!r}")


def holds_part(text: str, secret: str, beside: str = "") -> bool:
    """Do 48 characters of the secret's beginning or end stand in this text, or perhaps but 24?

    Those of few letters do not tell, nor do those that stand beside it too.
    """
    told = f"{secret[: 20 * LEAST]}{secret[-2 * LEAST :]}"
    parts = [told[at : at + LEAST] for at in range(0, len(told) - LEAST + 1, LEAST)]
    return any(part in text and len(set(part)) > LEAST // 4 and part not in beside for part in parts)


def name_of(outcome: AccessToken | AuthError) -> str:
    return "ok" if isinstance(outcome, AccessToken) else outcome.event


# ------------------------------------------------------------------------------------------------------------- tokens


def written_token(data: bytes) -> str:
    """A token of three lines: header, payload, and how it is signed. Fewer lines are a token as it stands.

    A line that begins with ~ is the segment's own text, else what the segment encodes. The third line is an algorithm,
    by which the first two are rightly signed, and perhaps a text that is put behind; else it is the signature's text.
    """
    lines = data.split(b"\n")
    if len(lines) < 3:
        return data.decode("utf-8", "surrogateescape")
    signing_input = f"{_segment(lines[0])}.{_segment(lines[1])}"
    algorithm, _, rest = lines[2].decode("latin-1").partition(" ")
    if algorithm not in _SIGNED_WITH:
        return f"{signing_input}.{_segment(lines[2])}"
    octets = signing_input.encode("utf-8", "surrogateescape")
    return f"{signing_input}.{base64url(sign(algorithm, _private(algorithm), octets))}{rest}"


def _segment(line: bytes) -> str:
    return line[1:].decode("utf-8", "surrogateescape") if line.startswith(b"~") else base64url(line)


_SIGNED_WITH: Final = ("RS256", "RS512", "PS256", "ES256", "EdDSA", "HS256")


def _private(algorithm: str) -> Any:
    return SECRET if algorithm == "HS256" else signing_key(KIND_OF[algorithm]).private


def contents(*tokens: str) -> str:
    """What the segments encode: whoever writes a token may repeat a part of it in a claim, and claims are told."""
    text = "\n".join(_decoded(segment) for token in tokens for segment in token.split("."))
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _decoded(segment: str) -> str:
    try:
        return decode_base64url(segment).decode("latin-1")
    except ValueError:
        return ""


_ESCAPED: Final = re.compile(r"\\u([0-9A-Fa-f]{4})")


def token(data: bytes) -> str:
    """A bare token, verified; and one of eight is explained, which takes three times as long."""
    raw = written_token(data)
    outcome = verified(raw)
    if isinstance(outcome, AccessToken):
        opinions.token(raw, outcome)
    else:
        check_refusal(outcome, raw, contents(raw))
    if crc32(data) % 8 == 0:
        check_explained(raw, outcome)
    return name_of(outcome)


def verified(raw: str) -> AccessToken | AuthError:
    return answered(lambda: drive(authenticate_token(raw, SETTINGS, KEYS)))


def check_explained(raw: str, outcome: AccessToken | AuthError) -> None:
    """To explain is to run the same checks, and to say no more of the token than its claims."""
    told = in_time(lambda: drive(examine(raw, SETTINGS, KEYS)))
    text = in_time(told.to_json)
    refused = "ok" if told.refusal is None else told.refusal.event
    insist(refused == name_of(outcome), f"explained as {refused}, verified as {name_of(outcome)}")
    insist(text.isascii() and text.isprintable(), "an explanation that is not fit for a log")
    signature = raw.rpartition(".")[2]
    insist(not holds_part(text, signature, contents(raw)), "an explanation with the signature in it")


# --------------------------------------------------------------------------------------------------- encrypted tokens

OPENED_WITH: Final = sealing.private_key()
SEALED: Final = replace(SETTINGS, decryption_keys=[DecryptionKey(sealing.pem(OPENED_WITH), kid="enc-1")])
SEALED_KEYS: Final = keys_of(SEALED)
_CONTENT_KEY: Final = bytes(range(32))


def written_jwe(data: bytes) -> str:
    """An encrypted token: its header's line, as that of a token, and then what is inside, as a token is written.

    It is rightly encrypted, whatever its header says. What follows ` + ` in the first line is put behind the JWE.
    """
    first, _, rest = data.partition(b"\n")
    line, _, behind = first.partition(b" + ")
    head = _segment(line)
    wanted = next((name for name in sealing.HASHES if f'"{name}"'.encode() in line), "RSA-OAEP-256")
    encrypted_key = OPENED_WITH.public_key().encrypt(_CONTENT_KEY, sealing.oaep(wanted))
    content = written_token(rest).encode("utf-8", "surrogateescape")
    sealed = AESGCM(_CONTENT_KEY).encrypt(bytes(12), content, head.encode("utf-8", "surrogateescape"))
    parts = (encrypted_key, bytes(12), sealed[:-16], sealed[-16:])
    return ".".join((head, *map(base64url, parts))) + behind.decode("utf-8", "surrogateescape")


def encrypted(data: bytes) -> str:
    """A bare token inside of an encrypted one."""
    raw = written_jwe(data)
    inner = written_token(data.partition(b"\n")[2])
    outcome = answered(lambda: drive(authenticate_token(raw, SEALED, SEALED_KEYS)))
    if isinstance(outcome, AccessToken):
        opinions.encrypted(raw, inner)
        opinions.token(inner, outcome)
        insist(outcome.raw == raw, "another token than the one that was sent")
    else:
        for secret in (raw, inner):
            check_refusal(outcome, secret, contents(raw, inner))
    return name_of(outcome)


# ----------------------------------------------------------------------------------------------- Authorization values


@cache
def good_token() -> str:
    return ISSUING.token(algorithm="EdDSA")


def written_lines(data: bytes, name: str, known: Mapping[bytes, str]) -> list[tuple[str, str]]:
    """Header lines as a server hands them over (Latin-1), one of each line: `name: value`, or the value alone.

    known: what a word that begins with @ stands for.
    """
    for word, text in known.items():
        data = data.replace(word, text.encode("latin-1"))
    lines = []
    # No server hands over longer lines, and white space around them is then left where it is.
    for line in data[:60_000].split(b"\n", LINES):
        before, colon, after = line.decode("latin-1").partition(": ")
        lines.append((before, after) if colon else (name, before))
    return lines


def authorization(data: bytes) -> str:
    """Whole requests, of which the Authorization lines matter. @token stands for a good token."""
    good = good_token()
    lines = written_lines(data, "Authorization", {b"@token": good})
    outcome = _authenticated(lines)
    values = [value for name, value in lines if name.lower() == "authorization"]
    if isinstance(outcome, AccessToken):
        insist(len(values) == 1, "accepted a request with several Authorization lines")
        scheme, space, rest = values[0].strip(" \t").partition(" ")
        insist(scheme.lower() == "bearer" and space and rest.strip(" ") == good, "accepted other credentials")
        opinions.token(good, outcome)
    else:
        check_refusal(outcome, good)
        insist(isinstance(outcome.refusal, object) and outcome.status != 503, "a client's fault is put on us")
    # Some servers join repeated lines, others do not: that must make no difference.
    joined = _authenticated([("authorization", ",".join(value.strip(" \t") for value in values))] if values else [])
    insist(name_of(joined) == name_of(outcome), f"as one line {name_of(joined)}, as it stands {name_of(outcome)}")
    return name_of(outcome)


def _authenticated(lines: list[tuple[str, str]]) -> AccessToken | AuthError:
    request = Request("GET", f"{API}messages", lines)
    return answered(lambda: drive(authenticate(request, SETTINGS, KEYS)))


# ------------------------------------------------------------------------------------- what an issuer's server sends

_EVERY: Final = tuple(sorted(ASYMMETRIC))


def jwks(data: bytes) -> str:
    """The body of a JWK Set, once as any issuer's and once as Auth0's, where a key's `alg` does not bind."""
    loaded = _loaded(Issuer(ISSUING.url, jwks_uri=ISSUING.jwks_uri), {ISSUING.jwks_uri: data})
    keys = loaded.state.keys
    if keys is not None:
        opinions.key_set(data, keys, _EVERY, alg_binds=True)
        _check_kept(loaded)
    auth0 = _loaded(Issuer.auth0("issuer.test", jwks_uri=ISSUING.jwks_uri), {ISSUING.jwks_uri: data}).state.keys
    if auth0 is not None:
        opinions.key_set(data, auth0, _EVERY, alg_binds=False)
    insist((keys is None) == (auth0 is None), "a set is good for one issuer alone")
    return "ok" if keys is not None else str(loaded.state.trouble)


def metadata(data: bytes) -> str:
    """The body of an issuer's metadata."""
    documents = ISSUING.documents() | {ISSUING.discovery_url: data}
    fetched: list[str] = []
    loaded = _loaded(Issuer(ISSUING.url), documents, fetched)
    for address in fetched:
        insist(address.lower().startswith("https://") and address.isascii(), f"an address is asked for: {address!r}")
    if loaded.state.metadata is not None:
        found = json.loads(data)
        insist(found["issuer"] == ISSUING.url and found["jwks_uri"] == fetched[-1], "metadata of somebody else")
    return "ok" if loaded.state.keys is not None else str(loaded.state.trouble)


def _loaded(issuer: Issuer, documents: Mapping[str, Any], fetched: list[str] | None = None) -> IssuerKeys:
    """The keys of an issuer after one load."""

    def load() -> IssuerKeys:
        own = IssuerKeys(issuer, SETTINGS_OF_ALL.policy_of(issuer), None)
        drive(own.load(own.begin(), MOMENT), documents=documents, fetched=fetched)
        return own

    own = in_time(load)
    reason = own.state.failure
    insist(reason.isascii() and reason.isprintable() and len(reason) < 1_000, f"a reason that is not fit: {reason!r}")
    return own


SETTINGS_OF_ALL: Final = ApiSettings(identifier=API, issuers=[Issuer(ISSUING.url)], signing_algorithms=_EVERY)


def _check_kept(loaded: IssuerKeys) -> None:
    """What was good once is good again out of a snapshot."""
    kept = loaded.keep(MOMENT)
    if kept is None:
        raise Finding("a set in use that is not kept")
    again = IssuerKeys(loaded.issuer, loaded.policy, None)
    snapshot = in_time(lambda: read_snapshot(write_snapshot({ISSUING.url: kept})))
    insist(again.restore(snapshot[ISSUING.url], Moment(NOW, 5_000.0)), "a set that cannot be restored")
    before, after = loaded.state.keys, again.state.keys
    insist(before is not None and after is not None and before.kids == after.kids, "a set that is another, restored")


# --------------------------------------------------------------------------------------------------------- DPoP proofs

METHOD: Final = "POST"
TARGET: Final = f"{API}messages?page=1"
BOUND: Final = "token-1"  # the token that the proofs are made for
PROVED_BY: Final = ("ES256", "RS256", "EdDSA")


def _dpop_rules(nonces: Nonces | None = None) -> DpopRules:
    return DpopRules(frozenset(PROVED_BY), 60.0, opinions.LEEWAY, nonces)


NONCES: Final = Nonces(SECRET, 300.0, API)
LASTING: Final = _dpop_rules()  # it knows the heads of earlier proofs


def proof(data: bytes) -> str:
    """The DPoP lines of a request: the first three lines are a proof, as a token is; each further one is another.

    @RSA, @P-256 and @Ed25519 stand for a public JWK, and @nonce for one of ours.
    """
    for kind in ("RSA", "P-256", "Ed25519"):
        data = data.replace(f"@{kind}".encode(), json.dumps(signing_key(kind).jwk(use=ABSENT, kid=ABSENT)).encode())
    data = data.replace(b"@nonce", NONCES.current(NOW).encode())
    lines = data.split(b"\n")
    values = [written_token(b"\n".join(lines[:3])), *(line.decode("latin-1") for line in lines[3:])]
    outcome = _proved(values, _dpop_rules())
    if isinstance(outcome, Proof):
        opinions.proof(values, outcome, method=METHOD, url=TARGET, token=BOUND)
    else:
        check_said(str(outcome), values[0], contents(values[0]))
    # A head that is known is not read again, which must make no difference.
    insist(_alike(outcome, _proved(values, LASTING)), "another answer where the head is known")
    with_nonces = _proved(values, _dpop_rules(NONCES))
    if isinstance(with_nonces, Proof):
        insist(
            isinstance(outcome, Proof) and opinions.unverified(values[0])[1]["nonce"] == NONCES.current(NOW), "no nonce"
        )
    else:
        insist(isinstance(with_nonces, NonceRequired) or _alike(outcome, with_nonces), "with nonces, another refusal")
    return "ok" if isinstance(outcome, Proof) else f"{outcome.event}-{outcome.part}"


def _proved(values: list[str], rules: DpopRules) -> Proof | InvalidProof:
    def check() -> Proof | InvalidProof:
        try:
            return check_proof(values, method=METHOD, url=TARGET, token=BOUND, now=NOW, rules=rules)
        except InvalidProof as error:
            return error

    return in_time(check)


def _alike(one: Proof | InvalidProof, other: Proof | InvalidProof) -> bool:
    """To the client: the log may blame another part."""
    return type(one) is type(other) if isinstance(one, InvalidProof) else one == other


# ---------------------------------------------------------------------------------------------------------- addresses


def htu(data: bytes) -> str:
    """Two addresses, a line each: what a proof says, and what was asked for."""
    said, _, asked = data.decode("utf-8", "surrogateescape").partition("\n")
    same = in_time(lambda: same_target(said, asked))
    insist(in_time(lambda: same_target(asked, said)) == same, "the same one way, and not the other")
    forms = [_normal_form(said), _normal_form(asked)]
    insist(same == (forms[0] is not None and forms[0] == forms[1]), "the same, and spelt in two ways")
    if same:
        opinions.same_address(said, asked)
    return "ok" if same else "malformed" if None in forms else "other"


def _normal_form(url: str) -> str | None:
    try:
        form = in_time(lambda: normalised(url))
    except ValueError:
        return None
    insist(form.isascii() and form.isprintable() and not {*"?#@ \\"} & {*form.partition("//")[2].partition("/")[0]},
           f"a form that has no place in a line: {form!r}")  # fmt: skip
    if len(form) <= len(url):  # else it may be longer than what is looked at
        insist(normalised(form) == form and same_target(url, form), f"a form that is not the last: {form!r}")
    return form


# --------------------------------------------------------------------------------------------------- what proxies say

_PEER: Final = "10.0.0.1"
_CERTIFICATE_HEADERS: Final = ("Client-Cert", "X-Forwarded-Client-Cert", "X-Amzn-Mtls-Clientcert-Leaf",
                               "X-Amzn-Mtls-Clientcert", "X-Client-Cert")  # fmt: skip
_CERTIFIED: Final = {name: ProxyRules(trusted=[_PEER], certificate_header=name) for name in _CERTIFICATE_HEADERS}


def certificate(data: bytes) -> str:
    """Header lines of a proxy, the last of which decides by its name whose they are."""
    lines = written_lines(data, "Client-Cert", opinions.certificate_words())
    outcomes = {header: _certified(lines, rules) for header, rules in _CERTIFIED.items()}
    for header, outcome in outcomes.items():
        values = [value.strip(" \t") for name, value in lines if name.lower() == header.lower()]
        if isinstance(outcome, str):
            opinions.certificate(header.lower(), values, outcome)
        elif outcome is None:
            insist(not any(values), "a certificate that is not seen")
        else:
            check_said(str(outcome).replace(header, ""), "".join(values))
    for rules in _CERTIFIED.values():
        request = Request("GET", API, lines, client="192.0.2.1")
        insist(certificate_of(request, rules) is None, "a header of a stranger counts")
    last = next((outcomes[header] for header in outcomes if header.lower() == lines[-1][0].lower()), None)
    return "ok" if isinstance(last, str) else "none" if last is None else last.event


def _certified(lines: list[tuple[str, str]], rules: ProxyRules) -> str | CertificateRejected | None:
    def certified() -> str | CertificateRejected | None:
        try:
            return certificate_of(Request("GET", API, lines, client=_PEER), rules)
        except CertificateRejected as error:
            return error

    return in_time(certified)


_FORWARDING: Final = (
    ProxyRules(trusted=["10.0.0.0/8"], headers=["Forwarded"]),
    ProxyRules(trusted=["10.0.0.0/8"], headers=["X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"]),
)


def forwarding(data: bytes) -> str:
    """Header lines of a proxy that say which URL was asked for. The first line without a colon is the URL itself."""
    lines = written_lines(data, "", {})
    url = next((value for name, value in lines if not name), TARGET)
    told = [line for line in lines if line[0]]
    outcomes = []
    for rules in _FORWARDING:
        stranger = Request("GET", url, told, client="192.0.2.1")
        alone = _target(Request("GET", url, [], client="192.0.2.1"), rules)
        insist(_target(stranger, rules) == alone, "a header of a stranger counts")
        outcome = _target(Request("GET", url, told, client=_PEER), rules)
        if isinstance(outcome, InvalidForwarding):
            check_said(str(outcome), "")
        else:
            opinions.forwarded(outcome, url, told)
        outcomes.append(outcome)
    refused = [outcome.event for outcome in outcomes if isinstance(outcome, InvalidForwarding)]
    return refused[0] if refused else "ok"


def _target(request: Request, rules: ProxyRules) -> str | InvalidForwarding:
    def target() -> str | InvalidForwarding:
        try:
            return target_of(request, rules)
        except InvalidForwarding as error:
            return error

    return in_time(target)


TARGETS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "token": token,
    "encrypted": encrypted,
    "authorization": authorization,
    "jwks": jwks,
    "metadata": metadata,
    "proof": proof,
    "htu": htu,
    "certificate": certificate,
    "forwarding": forwarding,
}
