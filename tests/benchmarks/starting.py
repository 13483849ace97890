"""An API that has just started, and one that is sent made-up kids: what is fetched, and what waits for it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from jwt.algorithms import RSAAlgorithm

from jwtgate import ApiSettings, AsyncVerifier, AuthError, Issuer
from tests.benchmarks import material, plain
from tests.benchmarks.issuer import DISCOVERY, JWKS, Remote, running
from tests.benchmarks.measuring import Figure, figure, settled
from tests.benchmarks.rows import Findings
from tests.serving import ROOT, environment

WAVE: Final = 25  # requests that arrive between two turns of the event loop
TICK: Final = 0.001  # seconds


@dataclass(frozen=True, slots=True)
class Scale:
    """trials: of each; requests: in each."""

    trials: int = 9
    requests: int = 1_000


@dataclass(slots=True)
class Lateness:
    """Of an event loop: when it came round, and how much later than it should have."""

    turns: list[tuple[float, float]] = field(default_factory=list)

    async def watch(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            now = time.perf_counter()
            self.turns.append((now, now - began - TICK))

    def most(self, counts: Callable[[float], bool]) -> float:
        """Seconds, at the times that count."""
        return max((late for at, late in self.turns if counts(at)), default=0.0)


def _settings(issuer: Remote) -> ApiSettings:
    return material.settings(issuer=Issuer(issuer.url))


async def _arrive(verifier: AsyncVerifier, texts: Sequence[str]) -> tuple[Lateness, float]:
    """All at once, as fast as a server could hand them over; and when the first had its answer."""
    lateness, answered = Lateness(), []

    async def request(text: str) -> None:
        await verifier.verify(text)
        answered.append(time.perf_counter())

    watching = asyncio.create_task(lateness.watch())
    await asyncio.sleep(5 * TICK)
    requests = []
    for place in range(0, len(texts), WAVE):
        requests += [asyncio.create_task(request(text)) for text in texts[place : place + WAVE]]
        await asyncio.sleep(0)
    await asyncio.gather(*requests)
    await asyncio.sleep(5 * TICK)
    watching.cancel()
    return lateness, min(answered)


def cold_start(scale: Scale) -> Findings:
    """While the keys come, all requests wait; then they are verified, a few of them in each turn of the event loop.

    Each trial has an interpreter of its own, in which nothing was fetched before. The verifier was made before.
    """
    trials = []
    jwks = material.jwks("RS256")
    with running(jwks) as issuer:
        for _ in range(scale.trials):
            texts = material.tokens("RS256", scale.requests, iss=issuer.url)
            before = issuer.asked()
            late, after = _in_a_child(issuer, jwks, texts)
            asked = issuer.asked() - before
            trials.append((asked[DISCOVERY], asked[JWKS], late, after))
    discoveries, key_sets, late_by, after_by = zip(*trials, strict=True)
    figures = {
        "start.discovery": _worst(discoveries),
        "start.jwks": _worst(key_sets),
        "start.late": figure([1e3 * late for late in late_by]),
        "start.after": figure(after_by),
    }
    return Findings(figures)


def _in_a_child(issuer: Remote, jwks: material.Json, texts: Sequence[str]) -> tuple[float, float]:
    given = json.dumps({"issuer": issuer.url, "jwks": jwks, "texts": texts})
    done = subprocess.run(
        plain.command(__name__),
        cwd=ROOT,
        env=environment(),
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    late, after = json.loads(done.stdout)
    return late, after


def child() -> None:
    """Seconds that the event loop was late at most: before the first answer; and after it, to the bare work."""
    given = json.load(sys.stdin)
    issuer, texts = Remote(given["issuer"]), given["texts"]
    with settled():
        lateness, first = asyncio.run(_started(issuer, texts))
        bare = _bare_seconds(given["jwks"], texts)
    print(json.dumps([lateness.most(lambda at: at < first), lateness.most(lambda at: at >= first) / bare]))


def _bare_seconds(jwks: material.Json, texts: Sequence[str]) -> float:
    key: Any = RSAAlgorithm.from_jwk(jwks["keys"][0])
    pad, sha256 = padding.PKCS1v15(), hashes.SHA256()
    parts = [material.split(text) for text in texts]
    began = time.perf_counter()
    for part in parts:
        key.verify(*part, pad, sha256)
    return time.perf_counter() - began


async def _started(issuer: Remote, texts: Sequence[str]) -> tuple[Lateness, float]:
    async with AsyncVerifier(_settings(issuer)) as verifier:
        return await _arrive(verifier, texts)


def _worst(values: Sequence[float]) -> Figure:
    """Of counts: the most counts."""
    return Figure(max(values), min(values), max(values))


def unknown_kids(scale: Scale) -> Findings:
    """Each token names another key that is nowhere; in between comes one whose key is known."""
    verify, prepared = material.reference("RS256")
    with running(material.jwks("RS256")) as issuer:
        good = material.tokens("RS256", scale.requests, iss=issuer.url)
        made_up = [material.with_header(text, kid=f"made-up-{place}") for place, text in enumerate(good)]
        parts = [prepared(text) for text in good]
        return asyncio.run(_sent(issuer, good, made_up, lambda place: verify(parts[place])))


async def _sent(issuer: Remote, good: Sequence[str], made_up: Sequence[str], bare: Callable[[int], object]) -> Findings:
    async with AsyncVerifier(_settings(issuer)) as verifier:
        await verifier.warm_up()
        before = await asyncio.to_thread(issuer.asked)
        looking = asyncio.create_task(_refused(verifier, made_up[0]))
        while not verifier.counters().kid_loads:  # noqa: ASYNC110 - nothing tells when a load begins
            await asyncio.sleep(0)
        loads = verifier.counters().loads
        await verifier.verify(good[0])
        waited = looking.done() or verifier.counters().loads != loads
        await looking
        ratios = []
        with settled():
            for place in range(1, len(made_up)):
                began = time.thread_time()
                await _refused(verifier, made_up[place])
                between = time.thread_time()
                bare(place)
                ratios.append((between - began) / (time.thread_time() - between))
        asked = await asyncio.to_thread(issuer.asked) - before
    figures = {
        "unknown.fetches": _worst([float(asked[JWKS])]),
        "unknown.each": figure(ratios),
        "unknown.known": _worst([float(waited)]),
    }
    return Findings(figures)


async def _refused(verifier: AsyncVerifier, text: str) -> None:
    try:
        await verifier.verify(text)
    except AuthError:
        return
    raise RuntimeError("a token of an unknown key was accepted")


def run(scale: Scale) -> Findings:
    findings = cold_start(scale)
    findings.add(unknown_kids(scale))
    return findings


if __name__ == "__main__":
    child()
