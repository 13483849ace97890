"""`python -m tests.benchmarks.steps [new|seen|refused|proof|encrypted]`: where the time of a token goes.

new: one that was never seen, and whose head is known; seen: one that is remembered; refused: one that is too long, of
which nothing is looked at, so that this is what any refusal takes beside its reason; proof: a request whose key and
token were seen; encrypted: a token within another one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from jwtgate import AccessToken
from jwtgate.core.challenge import parting
from jwtgate.core.compact import CLAIMS_DEPTH, CLAIMS_MEMBERS, decode_base64url, encode_base64url, parse_json
from jwtgate.core.dpop import Proof
from jwtgate.core.errors import TokenTooLarge
from jwtgate.core.heads import Meaning, Verified
from jwtgate.core.keys import Keyring
from jwtgate.core.known import Known, known_to
from jwtgate.core.proxies import target_of
from jwtgate.core.request import read_proven
from jwtgate.core.uri import same_target
from jwtgate.core.verification import verify_at_once
from jwtgate.stores import MemoryStore
from jwtgate.verifier import log_refusal
from tests import sealing
from tests.benchmarks import material
from tests.benchmarks.measuring import WARMING, Entrant, afresh, again, compete, in_turn
from tests.benchmarks.verifying import bare_opening, bare_request, proven, refusing, sealed_parts, threads_verifier

SIZE: Final = 100  # tokens in a block
MANY: Final = 10 * SIZE  # of what takes so little that a block of it would be over before it has begun
BARE: Final = "the signature, bare"
WHOLE: Final = "the whole token"
WITHOUT: Final = "the whole token, its signature left out"


class _Unsigned:
    """In place of a key: it says yes, and takes no time."""

    def check(self, signing_input: bytes, signature: bytes) -> None:
        pass


def new(algorithm: str, rounds: int) -> list[Entrant]:
    """Each step by itself, the whole, and the whole without the one step that is not ours."""
    texts = material.tokens(algorithm, (rounds + WARMING) * SIZE)
    call, prepared = material.reference(algorithm)
    parts = [text.split(".") for text in texts]
    octets = [decode_base64url(payload) for _, payload, _ in parts]
    claims = [parse_json(each, CLAIMS_DEPTH, CLAIMS_MEMBERS) for each in octets]
    verifier, unsigned = threads_verifier(algorithm), threads_verifier(algorithm)
    for own in (verifier, unsigned):
        own.verify(material.token(algorithm))
    meaning, now = _meaning(verifier._keys), claims[0]["iat"]
    _meaning(unsigned._keys).key = _Unsigned()  # type: ignore[assignment]
    known = [
        Verified(text, meaning.header, own, None, own=meaning.own, set_=meaning.set)
        for text, own in zip(texts, claims, strict=True)
    ]
    heads, memory = known_to(verifier._keys).heads, Known(material.settings(algorithm).token_memory_bytes).tokens
    steps: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]] = {
        BARE: (call, [prepared(text) for text in texts]),
        "base64url of payload and signature": (lambda own: (decode_base64url(own[1]), decode_base64url(own[2])), parts),
        "JSON": (lambda own: parse_json(own, CLAIMS_DEPTH, CLAIMS_MEMBERS), octets),
        "claims": (lambda own: meaning.sound(own, now), claims),
        "the head, looked up": (lambda text: heads._recent.get(text[: text.find(".")]), texts),
        "what is made of it": (
            lambda own: AccessToken(own, meaning.own.policy, verifier.settings, now, own.raw),
            known,
        ),
        "remembered": (lambda own: memory.keep(own.raw, own, 0.0), known),
        WITHOUT: (unsigned.verify, texts),
        WHOLE: (verifier.verify, texts),
    }
    return [Entrant(name, step, in_turn(items, SIZE)) for name, (step, items) in steps.items()]


def _meaning(keys: Keyring) -> Meaning:
    meanings = next(iter(known_to(keys).heads._recent._younger.values()))
    return meanings[material.ISSUER]


def seen(algorithm: str, rounds: int) -> list[Entrant]:
    verifier, text = threads_verifier(algorithm), material.token(algorithm)
    token, clock = verifier.verify(text), verifier._clock
    meaning, memory = _meaning(verifier._keys), known_to(verifier._keys).tokens
    wall, monotonic = clock.wall(), clock.monotonic()
    found = memory.get(text, wall, monotonic)
    if found is None:
        raise RuntimeError("a token was not remembered")
    steps: dict[str, Callable[[Any], Any]] = {
        "both clocks": lambda _: (clock.wall(), clock.monotonic()),
        "looked up, in a fresh string": lambda own: memory.get(own, wall, monotonic),
        "is it revoked?": lambda _: verifier._senders.revocations.check(found.claims),
        "what is made of it": lambda own: AccessToken(found, meaning.own.policy, verifier.settings, wall, own),
        "counted": lambda _: verifier._count_accepted(),
        WHOLE: verifier.verify,
    }
    return [_bare(algorithm, rounds), *(Entrant(name, step, afresh(token.raw, MANY)) for name, step in steps.items())]


def refused(algorithm: str, rounds: int) -> list[Entrant]:
    verifier = threads_verifier(algorithm)
    limit = verifier.settings.max_token_bytes
    text = "A" * (limit + 1)

    def made(_: Any) -> TokenTooLarge:
        return TokenTooLarge(limit + 1, limit)

    def raised(depth: int) -> None:
        if depth:
            raised(depth - 1)
        raise made(None)

    steps: dict[str, Callable[[Any], Any]] = {
        "the error, with its text": made,
        "the same, raised through five calls": lambda _: refusing(raised)(5),
        "counted": lambda _: verifier._watch.refused(error),
        "is there a log?": lambda _: log_refusal(error),
        "the error, and its answer": lambda _: parting(made(None), verifier.settings),
        WHOLE: refusing(verifier.verify),
    }
    error = made(None)
    return [_bare(algorithm, rounds), *(Entrant(name, step, again(text, MANY)) for name, step in steps.items())]


def proof(algorithm: str, rounds: int) -> list[Entrant]:
    requests, parts = proven("token", (rounds + WARMING) * SIZE)
    verifier = threads_verifier(algorithm, proof_of_possession="dpop", dpop_window=3_600)
    senders, memory, limit = verifier._senders, MemoryStore(), verifier.settings.max_token_bytes
    wall, monotonic = verifier._clock.wall(), verifier._clock.monotonic()
    token = requests[0].values("authorization")[0].removeprefix("DPoP ")
    proofs = [request.values("dpop")[0] for request in requests]
    asked = [senders.to_remember(Proof("jkt", proof, wall)) for proof in proofs]
    key, scheme = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), parts[0][1]), ec.ECDSA(hashes.SHA256())

    def read(text: str) -> None:
        _, payload, signature = text.split(".")
        parse_json(decode_base64url(payload), CLAIMS_DEPTH, CLAIMS_MEMBERS)
        decode_base64url(signature)

    steps: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]] = {
        BARE: (bare_request(), parts),
        "of it ES256, which alone is needed here": (lambda own: key.verify(*own[2], scheme), parts),
        "the two header lines": (lambda own: read_proven(own, limit), requests),
        "the token, looked up": (lambda _: verify_at_once(token, verifier._keys, wall, monotonic), parts),
        "base64url and JSON of the proof": (read, proofs),
        "is it for this address?": (lambda own: same_target(material.URL, target_of(own, senders.proxies)), requests),
        "the hash of the token": (lambda _: encode_base64url(sha256(token.encode()).digest()), parts),
        "is it new?": (lambda own: memory.remember(own, wall), asked),
        WHOLE: (verifier.verify_request, requests),
    }
    return [Entrant(name, step, in_turn(items, SIZE)) for name, (step, items) in steps.items()]


def encrypted(algorithm: str, rounds: int) -> list[Entrant]:
    size = SIZE // 5  # each takes as long as many others
    inner = material.tokens("RS256", (rounds + WARMING) * size)
    texts = [sealing.seal(text) for text in inner]
    parts = [sealed_parts(*pair) for pair in zip(texts, inner, strict=True)]
    private, scheme = sealing.private_key(), sealing.oaep()
    steps: dict[str, tuple[Callable[[Any], Any], Sequence[Any]]] = {
        BARE: (bare_opening(), parts),
        "of it the RSA decryption": (lambda own: private.decrypt(own[0], scheme), parts),
        "base64url": (lambda own: [decode_base64url(part) for part in own.split(".")[1:]], texts),
        "the token inside, as any other": (threads_verifier(algorithm).verify, inner),
        WHOLE: (threads_verifier(algorithm, decryption_keys=sealing.pem()).verify, texts),
    }
    return [Entrant(name, step, in_turn(items, size)) for name, (step, items) in steps.items()]


def _bare(algorithm: str, rounds: int) -> Entrant:
    call, prepared = material.reference(algorithm)
    texts = material.tokens(algorithm, (rounds + WARMING) * SIZE)
    return Entrant(BARE, call, in_turn([prepared(text) for text in texts], SIZE))


SCENES: Final = {"new": new, "seen": seen, "refused": refused, "proof": proof, "encrypted": encrypted}


def lines(scene: str, algorithm: str, rounds: int) -> list[str]:
    """One for each step: microseconds, and times of the bare verification."""
    measured = SCENES[scene](algorithm, rounds)
    times = compete(measured, rounds)
    found = {entrant.name: times.of(entrant.name).median for entrant in measured}
    if WITHOUT in found:
        found["what a signature leaves behind: colder caches"] = found[WHOLE] - found[WITHOUT] - found[BARE]
    return [f"{name:<46} {taken * 1e6:6.2f} µs {taken / found[BARE]:6.3f} ×" for name, taken in found.items()]


def main() -> None:
    asks = argparse.ArgumentParser(prog="python -m tests.benchmarks.steps", description=__doc__)
    asks.add_argument("scene", nargs="?", default="new", choices=[*SCENES])
    asks.add_argument("--algorithm", default="RS256", choices=[*material.ALGORITHMS])
    asks.add_argument("--rounds", type=int, default=40, help=f"of {SIZE} tokens each (40)")
    asked = asks.parse_args()
    print("\n".join(lines(asked.scene, asked.algorithm, asked.rounds)))


if __name__ == "__main__":
    main()
