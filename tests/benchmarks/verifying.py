"""One token or one request at a time, in this process: cold, warm, refused, with a proof, encrypted, and by peers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwtgate import ApiSettings, AsyncVerifier, Issuer, Request, Verifier
from jwtgate.core.compact import decode_base64url
from tests import sealing
from tests.benchmarks import material, peers
from tests.benchmarks.material import FORGETFUL, ISSUER, URL, tokens
from tests.benchmarks.measuring import WARMING, Entrant, Figure, Supply, Times, afresh, again, compete, in_turn
from tests.benchmarks.rows import Findings

OURS: Final = "jwtgate"
BARE: Final = "bare"


@dataclass(frozen=True, slots=True)
class Scale:
    """rounds: of each comparison; size: tokens in a block; others: are the peers measured too?"""

    rounds: int = 40
    size: int = 100
    others: bool = True

    @property
    def items(self) -> int:
        """As many as `in_turn` needs for a whole comparison."""
        return (self.rounds + WARMING) * self.size


# --- verifiers that have their keys ---------------------------------------------------------------------------------


def _settings(algorithm: str, **changes: Any) -> ApiSettings:
    # Keys that were fetched, as they are in nearly every API: those that are given save a look at the clock.
    return material.settings(algorithm, Issuer(ISSUER, jwks_uri=peers.JWKS_URI), **changes)


def _transport(algorithm: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(200, json=material.jwks(algorithm)))


def threads_verifier(algorithm: str = "RS256", **changes: Any) -> Verifier:
    """With its keys loaded."""
    verifier = Verifier(_settings(algorithm, **changes), http=httpx.Client(transport=_transport(algorithm)))
    verifier.warm_up()
    return verifier


def tasks_verifier(algorithm: str = "RS256", **changes: Any) -> AsyncVerifier:
    """With its keys loaded in another event loop, which is closed by now."""
    with_keys = threads_verifier(algorithm, **changes)
    return AsyncVerifier(with_keys.settings, snapshot=with_keys.export_keys())


def _bare(algorithm: str, texts: Sequence[str], size: int, name: str = BARE) -> Entrant:
    call, prepared = material.reference(algorithm)
    return Entrant(name, call, in_turn([prepared(text) for text in texts], size))


def _others(algorithm: str, supply: Supply, scale: Scale, *, hostile: bool = False) -> list[Entrant]:
    """The peers that can do this algorithm, if they are wanted."""
    found = []
    for peer in peers.installed() if scale.others else ():
        if algorithm in peer.algorithms:
            call: Any = peer.make(algorithm, {} if algorithm == "HS256" else material.jwks(algorithm))
            if hostile:
                call = refusing_async(call) if peer.awaits else refusing(call)
            found.append(Entrant(peer.package, call, supply, peer.awaits))
    return found


def _compared(times: Times, base: str, row: str, findings: Findings) -> None:
    """Each side of it, to the base."""
    findings.figures[row] = times.ratio(OURS, base)
    others = set(times.seconds) - {OURS, base, BARE}
    findings.peers[row] = {name: times.ratio(name, base) for name in sorted(others)}


# --- never seen, and seen before ------------------------------------------------------------------------------------


def cold(scale: Scale) -> Findings:
    """Each side sees every token once."""
    findings = Findings()
    for algorithm in material.ALGORITHMS:
        texts = tokens(algorithm, scale.items)
        supply = in_turn(texts, scale.size)
        sides = [Entrant(OURS, threads_verifier(algorithm).verify, supply), *_others(algorithm, supply, scale)]
        base = BARE
        if algorithm == "HS256":
            base = "RS256"
            sides.append(_bare("RS256", tokens("RS256", scale.items), scale.size, base))
        else:
            sides.append(_bare(algorithm, texts, scale.size))
        times = compete(sides, scale.rounds)
        _compared(times, base, f"cold.{algorithm}", findings)
        if "auth0-api-python" in times.seconds:
            findings.figures["cold.auth0"] = times.ratio("auth0-api-python", OURS)
    return findings


def warm(scale: Scale) -> Findings:
    findings = Findings()
    text = tokens("RS256", 1)[0]
    bare = _bare("RS256", [text] * scale.items, scale.size)
    supplies: dict[str, Callable[[str, int], Supply]] = {"warm.fresh": afresh, "warm.same": again}
    for row, supply in supplies.items():
        # A block of ours would be over before it has begun.
        own = Entrant(OURS, threads_verifier().verify, supply(text, 10 * scale.size))
        sides = [own, bare, *_others("RS256", supply(text, scale.size // 2), scale)]
        _compared(compete(sides, scale.rounds), BARE, row, findings)
    return findings


def stream(scale: Scale) -> Findings:
    """What it costs to remember tokens that never come again: with every one, others are forgotten."""
    supply = in_turn(tokens("RS256", scale.items), scale.size)
    sides = [
        Entrant("with", threads_verifier().verify, supply),
        Entrant("without", threads_verifier(**FORGETFUL).verify, supply),
    ]
    return Findings({"warm.stream": compete(sides, scale.rounds).ratio("with", "without")})


def by_task(scale: Scale) -> Findings:
    supply = in_turn(tokens("RS256", scale.items), scale.size)
    text = tokens("RS256", 1)[0]
    findings = Findings()
    for row, items in (("async.cold", supply), ("async.warm", afresh(text, 10 * scale.size))):
        sides = [
            Entrant("threads", threads_verifier().verify, items),
            Entrant("tasks", tasks_verifier().verify, items, awaits=True),
        ]
        findings.figures[row] = _microseconds(compete(sides, scale.rounds).over("tasks", "threads"))
    return findings


def _microseconds(found: Figure) -> Figure:
    return Figure(found.median * 1e6, found.lower * 1e6, found.upper * 1e6)


# --- refused --------------------------------------------------------------------------------------------------------


class Accepted(Exception):
    """Somebody took what must be refused."""


def refusing(call: Callable[[Any], Any]) -> Callable[[Any], None]:
    def refused(item: Any) -> None:
        try:
            call(item)
        except Exception:  # noqa: BLE001 - the peers raise what they like
            return
        raise Accepted(item)

    return refused


def refusing_async(call: Callable[[str], Any]) -> Callable[[str], Any]:
    async def refused(item: str) -> None:
        try:
            await call(item)
        except Exception:  # noqa: BLE001 - the peers raise what they like
            return
        raise Accepted(item)

    return refused


def _cut_short(good: str) -> str:
    """The JSON of the payload ends too early."""
    head, payload, signature = good.split(".")
    return f"{head}.{payload[: len(payload) // 8 * 4]}.{signature}"


def _hashed(good: str) -> str:
    """Letters and digits alone, other ones for each token."""
    return good.replace(".", "x")[::-1]


HOSTILE: Final[dict[str, Callable[[str], str]]] = {
    "refused.forged": material.forged,
    "refused.malformed": _cut_short,
    "refused.garbage": _hashed,
    "refused.none": lambda good: material.with_header(good, alg="none").rpartition(".")[0] + ".",
    "refused.algorithm": lambda good: material.with_header(good, alg="HS256"),
    "refused.header": lambda good: material.with_header(good, crit=["b64"], b64=False),
}
COMPARED: Final = frozenset({"refused.forged", "refused.garbage", "refused.expired"})


def _acquainted() -> Verifier:
    """A verifier that had a good token before: nothing but bad ones have no API."""
    verifier = threads_verifier()
    verifier.verify(material.token("RS256"))
    return verifier


def refused(scale: Scale) -> Findings:
    findings = Findings()
    good = tokens("RS256", scale.items)
    expired = tokens("RS256", scale.items, iat=1, exp=2)
    bare = _bare("RS256", good, scale.size)
    hostile = {row: [change(text) for text in good] for row, change in HOSTILE.items()} | {"refused.expired": expired}
    for row, texts in hostile.items():
        supply = in_turn(texts, scale.size)
        others = _others("RS256", supply, scale, hostile=True) if row in COMPARED else []
        sides = [Entrant(OURS, refusing(_acquainted().verify), supply), bare, *others]
        _compared(compete(sides, scale.rounds), BARE, row, findings)
    call, prepared = material.reference("RS256")
    spoilt = Entrant(OURS, refusing(call), in_turn([prepared(material.forged(text)) for text in good], scale.size))
    _compared(compete([spoilt, bare], scale.rounds), BARE, "refused.bare", findings)
    cap = _settings("RS256").max_token_bytes
    for row, length in (("refused.long", cap + 1), ("refused.longer", 1_000_000)):
        text = good[0] + "A" * (length - len(good[0]))
        side = Entrant(OURS, refusing(_acquainted().verify), again(text, 10 * scale.size))
        findings.figures[row] = _microseconds(compete([side], scale.rounds).of(OURS))
    return findings


# --- with a proof ---------------------------------------------------------------------------------------------------

Seen = Literal["first", "key", "token"]


def dpop(scale: Scale) -> Findings:
    """Each proof is new; what was seen before is its key, or its key and its token."""
    findings = Findings()
    seen: Seen
    for seen in ("first", "key", "token"):
        requests, parts = proven(seen, scale.items)
        supply = in_turn(requests, scale.size)
        verifier = threads_verifier(proof_of_possession="dpop", dpop_window=3_600)
        sides = [
            Entrant(OURS, verifier.verify_request, supply),
            Entrant(BARE, bare_request(), in_turn(parts, scale.size)),
        ]
        if scale.others and any(peer.package == "auth0-api-python" for peer in peers.installed()):
            sides.append(Entrant("auth0-api-python", _by_auth0(), supply, awaits=True))
        _compared(compete(sides, scale.rounds), BARE, f"dpop.{seen}", findings)
    return findings


def proven(seen: Seen, count: int) -> tuple[list[Request], list[Any]]:
    """Requests, and the bare work in each."""
    split, split_proof = material.reference("RS256")[1], material.reference("ES256")[1]
    requests, parts = [], []
    sender, text = material.client(), ""
    for number in range(count):
        if seen == "first" and number:
            sender = material.client()
        if seen != "token" or not text:
            text = tokens("RS256", 1, cnf={"jkt": sender.jkt})[0]
        proof = sender.proof(text, number)
        requests.append(request(text, proof))
        parts.append((split(text), sender.point, split_proof(proof)))
    return requests, parts


def request(text: str, proof: str) -> Request:
    """With as many headers as a client sends."""
    lines = [
        ("host", "api.example"),
        ("user-agent", "python-httpx/0.28.1"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        ("authorization", f"DPoP {text}"),
        ("dpop", proof),
    ]
    return Request("GET", URL, lines)


_CURVE: Final = ec.SECP256R1()
_SCHEME: Final = ec.ECDSA(hashes.SHA256())


def bare_request() -> Callable[[tuple[tuple[bytes, bytes], bytes, tuple[bytes, bytes]]], None]:
    verify, _ = material.reference("RS256")

    def work(parts: tuple[tuple[bytes, bytes], bytes, tuple[bytes, bytes]]) -> None:
        signed, point, proof = parts
        verify(signed)
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, point).verify(*proof, _SCHEME)

    return work


def _by_auth0() -> Callable[[Request], Any]:
    client = peers.auth0_client(material.jwks("RS256"))

    async def verify(request: Request) -> Any:
        return await client.verify_request(dict(request.headers), request.method, request.url)

    return verify


# --- encrypted ------------------------------------------------------------------------------------------------------


def encrypted(scale: Scale) -> Findings:
    size = max(1, scale.size // 5)  # each takes as long as many others
    inner = tokens("RS256", (scale.rounds + WARMING) * size)
    texts = [sealing.seal(text) for text in inner]
    supply = in_turn(texts, size)
    verifier = threads_verifier(decryption_keys=sealing.pem())
    sides = [
        Entrant(OURS, verifier.verify, supply),
        Entrant(BARE, bare_opening(), in_turn([sealed_parts(*pair) for pair in zip(texts, inner, strict=True)], size)),
    ]
    if scale.others:
        wanted = {peer.package for peer in peers.installed()} & peers.NESTED.keys()
        private = sealing.private_jwk()
        sides += [Entrant(name, peers.NESTED[name](material.jwks("RS256"), private), supply) for name in sorted(wanted)]
    findings = Findings()
    _compared(compete(sides, scale.rounds), BARE, "jwe", findings)
    return findings


Sealed = tuple[bytes, bytes, bytes, bytes, tuple[bytes, bytes]]


def sealed_parts(text: str, inner: str) -> Sealed:
    """Encrypted key, nonce, ciphertext with its tag, associated data, and what is signed inside."""
    head, *rest = text.split(".")
    key, nonce, content, tag = map(decode_base64url, rest)
    return key, nonce, content + tag, head.encode(), material.reference("RS256")[1](inner)


def bare_opening() -> Callable[[Sealed], None]:
    private, scheme = sealing.private_key(), sealing.oaep()
    verify, _ = material.reference("RS256")

    def work(parts: Sealed) -> None:
        key, nonce, content, associated, signed = parts
        AESGCM(private.decrypt(key, scheme)).decrypt(nonce, content, associated)
        verify(signed)

    return work


# --- two threads ----------------------------------------------------------------------------------------------------


def threads(scale: Scale) -> Findings:
    """The same tokens by one thread and by two, on the wall clock."""
    texts = in_turn(tokens("RS256", scale.items), scale.size)

    def block(number: int) -> Sequence[Any]:
        return [texts(number)]

    def all_of(verifier: Verifier, items: Sequence[str]) -> None:
        for item in items:
            verifier.verify(item)

    def halves(verifier: Verifier, items: Sequence[str]) -> None:
        other = threading.Thread(target=all_of, args=(verifier, items[::2]))
        other.start()
        all_of(verifier, items[1::2])
        other.join()

    sides = [
        Entrant("one", partial(all_of, threads_verifier()), block),
        Entrant("two", partial(halves, threads_verifier()), block),
    ]
    times = compete(sides, scale.rounds, clock=time.perf_counter)
    return Findings({"threads": times.ratio("one", "two")})


ALL: Final = (cold, warm, stream, by_task, refused, dpop, encrypted, threads)


def run(scale: Scale) -> Findings:
    findings = Findings()
    for part in ALL:
        findings.add(part(scale))
    return findings
