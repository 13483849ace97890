"""What a bad day costs: the keys' promises measured against real servers, as figures with their limits.

`python -m tests.outage` prints the table, and ends with 1 where a limit is not held; `--whole` takes minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import logging
import math
import os
import queue
import resource
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from jwtgate import AccessToken, AsyncVerifier, AuthError, Verifier
from jwtgate.core.events import KeyEvent
from jwtgate.core.key_state import BACK_OFF, SOFT_AGE
from tests.fault_server import DISCOVERY, FAULTS, JWKS, Fault, FaultServer
from tests.loopback import PATIENCE, Clock, Drive, Tasks, Threads, others_ended
from tests.making import SigningKey, compact, segment, signing_key

ROOT: Final = Path(__file__).parents[1]
DRIVES: Final[dict[str, Drive]] = {"threads": Threads, "tasks": Tasks}
REQUESTS: Final = 1_000
ROUNDS: Final = 8  # samples of a time
SHORTEST: Final = 20_000  # nanoseconds: a time that another is compared with; about one signature
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
PROMISED: Final = 30.0  # seconds until a new key is accepted, whatever else is asked for


@dataclass(frozen=True)
class Figure:
    """One number, and what it must be. relation: of the number to the limit."""

    scene: str
    what: str
    measured: float
    relation: Literal["=", "≤", "≥"]
    limit: float
    unit: str = ""

    @property
    def holds(self) -> bool:
        if self.relation == "=":
            return self.measured == self.limit
        return self.measured <= self.limit if self.relation == "≤" else self.measured >= self.limit


@dataclass(frozen=True)
class Scale:
    """How long the scenes take.

    flood: seconds of the one in real time; step: seconds of the outage's clock; timed: verifications in a sample.
    """

    flood: float
    step: float
    timed: int


QUICK: Final = Scale(flood=2.0, step=600.0, timed=500)
WHOLE: Final = Scale(flood=60.0, step=60.0, timed=3_000)


# ------------------------------------------------------------------------------------------------------------- tokens


def signed_by(server: FaultServer, key: SigningKey, **claims: Any) -> str:
    """A good token of this issuer, under this key."""
    return compact({"alg": "RS256", "typ": "JWT", "kid": key.kid}, server.issuing.claims(**claims), key)


def of_nobody(server: FaultServer) -> Callable[[object], str]:
    """Makes tokens with any kid, as somebody would who has no key: the signature is of no use."""
    claims = segment(server.issuing.claims())
    return lambda kid: f"{segment({'alg': 'RS256', 'typ': 'JWT', 'kid': f'random-{kid}'})}.{claims}.{'A' * 342}"


def now_claims() -> dict[str, int]:
    """For a verifier with the machine's clock."""
    return {"iat": int(time.time()) - 1, "exp": int(time.time()) + 3_600}


def answered(drive: Drive, verifier: Any, token: str) -> str:
    """What becomes of a token: "ok", or the refusal's status and kind."""
    try:
        drive.verify(verifier, token)
    except AuthError as error:
        return f"{error.status} {type(error).__name__}"
    return "ok"


def landed() -> None:
    """Wait for the threads of a refresh. Those of other scenes may be among them."""
    for thread in threading.enumerate():
        if thread.name == "jwtgate-keys":
            thread.join(PATIENCE)


# --------------------------------------------------------------------------------------------------------- cold starts


def cold_tasks() -> Iterator[Figure]:
    with FaultServer() as server:
        server.set_mode("slow", JWKS)
        token = server.issuing.token()

        async def main() -> list[Any]:
            verifier = AsyncVerifier(server.settings(), clock=Clock())
            return await asyncio.gather(*(verifier.verify(token) for _ in range(REQUESTS)), return_exceptions=True)

        yield from _cold(server, "1,000 tasks", asyncio.run(main()))


def cold_threads() -> Iterator[Figure]:
    with FaultServer() as server:
        server.set_mode("slow", JWKS)
        token, verifier = server.issuing.token(), Verifier(server.settings(), clock=Clock())
        start = threading.Barrier(REQUESTS)

        def ask(_: int) -> Any:
            start.wait(3 * PATIENCE)
            return _outcome(lambda: verifier.verify(token))

        with ThreadPoolExecutor(REQUESTS) as pool:
            outcomes = list(pool.map(ask, range(REQUESTS)))
        yield from _cold(server, "1,000 threads", outcomes)


def cold_mixed() -> Iterator[Figure]:
    """One verifier for 20 threads, each with an event loop of its own, in which 50 tasks run."""
    with FaultServer() as server:
        server.set_mode("slow", JWKS)
        token, verifier = server.issuing.token(), AsyncVerifier(server.settings(), clock=Clock())
        start = threading.Barrier(20)

        async def loop() -> list[Any]:
            start.wait(PATIENCE)
            calls = (verifier.verify(token) for _ in range(REQUESTS // 20))
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await others_ended()
            return outcomes

        with ThreadPoolExecutor(20) as pool:
            loops = list(pool.map(lambda _: asyncio.run(loop()), range(20)))
        yield from _cold(server, "50 tasks in each of 20 threads", list(itertools.chain(*loops)))


def _outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except AuthError as error:
        return error


def _cold(server: FaultServer, how: str, outcomes: Sequence[Any]) -> Iterator[Figure]:
    scene = f"cold start, {how}"
    yield Figure(scene, "accepted", sum(not isinstance(one, Exception) for one in outcomes), "=", REQUESTS)
    yield Figure(scene, "fetches of the metadata", server.counted[DISCOVERY], "=", 1)
    yield Figure(scene, "fetches of the key set", server.counted[JWKS], "=", 1)


def cold_workers() -> Iterator[Figure]:
    """gunicorn forks 4 workers from a process that has the verifier already."""
    with FaultServer() as server:
        server.set_mode("slow", JWKS)
        with gunicorn(server) as port:
            told = asyncio.run(_ask_workers(port, server.issuing.token(**now_claims())))
        scene = "cold start, 1,000 requests to 4 gunicorn workers"
        yield Figure(scene, "accepted", sum(status == 200 for status, _, _ in told), "=", REQUESTS)
        fetches: Counter[int] = Counter()
        for _, pid, fetched in told:
            fetches[pid] = max(fetches[pid], fetched)
        yield Figure(scene, "processes that answered", len(fetches), "=", 4)
        yield Figure(scene, "documents fetched by any one process", max(fetches.values()), "=", 2)
        yield Figure(scene, "fetches of the metadata, in all", server.counted[DISCOVERY], "=", 4)
        yield Figure(scene, "fetches of the key set, in all", server.counted[JWKS], "=", 4)


def warm_workers() -> Iterator[Figure]:
    """The same, warmed up before the fork: what is known then is known everywhere."""
    with FaultServer() as server:
        with gunicorn(server, WARM="1") as port:
            server.set_mode("500")
            told = asyncio.run(_ask_workers(port, server.issuing.token(**now_claims())))
        scene = "warmed up before the fork, then an outage"
        yield Figure(scene, "accepted", sum(status == 200 for status, _, _ in told), "=", REQUESTS)
        yield Figure(scene, "fetches of the key set, in all", server.counted[JWKS], "=", 1)


@contextlib.contextmanager
def gunicorn(server: FaultServer, **settings: str) -> Iterator[int]:
    """4 workers of `tests.outage_app`; its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * REQUESTS) as listening:
        options = ["--preload", "--workers=4", "--threads=8", "--graceful-timeout=5", "--log-level=warning"]
        child = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *options, f"--bind=fd://{listening.fileno()}", "tests.outage_app:app"],
            cwd=ROOT,
            env={**os.environ, "OUTAGE_ISSUER": server.issuing.url, **{f"OUTAGE_{n}": v for n, v in settings.items()}},
            pass_fds=[listening.fileno()],
            stdin=subprocess.DEVNULL,
        )
        try:
            port: int = listening.getsockname()[1]
            asyncio.run(_all_there(port))
            yield port
        finally:
            child.terminate()
            child.wait(3 * PATIENCE)


async def _all_there(port: int) -> None:
    seen: set[int] = set()
    async with asyncio.timeout(3 * PATIENCE):
        while len(seen) < 4:
            _, pid, _ = await _ask(port, "/health", "none")
            seen.add(pid)


async def _ask_workers(port: int, token: str) -> list[tuple[int, int, int]]:
    with _many_sockets():
        return list(await asyncio.gather(*(_ask(port, "/", token) for _ in range(REQUESTS))))


async def _ask(port: int, path: str, token: str) -> tuple[int, int, int]:
    """Status, process and how many documents that process has fetched."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", "Connection: close", "", ""
    writer.write("\r\n".join(lines).encode())
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    return int(head.split()[1]), told.get("pid", 0), told.get("fetches", 0)


@contextlib.contextmanager
def _many_sockets() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4 * REQUESTS if hard == resource.RLIM_INFINITY else min(hard, 4 * REQUESTS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --------------------------------------------------------------------------------------------------------------- floods


@contextlib.contextmanager
def one_loop(name: str) -> Iterator[Drive]:
    """The driver of this name; of tasks, all in the same event loop."""
    with asyncio.Runner() as runner:

        class OneLoop(Tasks):
            @staticmethod
            def verify(verifier: AsyncVerifier, token: str) -> AccessToken:
                return runner.run(verifier.verify(token))

        yield OneLoop if name == "tasks" else DRIVES[name]


def flood() -> Iterator[Figure]:
    """10,000 random kids in a minute of the clock, and the keys rotate right after the first: the worst moment."""
    for name in DRIVES:
        with FaultServer() as server, one_loop(name) as drive:
            old, new = server.published[0], signing_key("RSA", 2)
            clock, good, renewed, nobody = Clock(), server.issuing.token(), signed_by(server, new), of_nobody(server)
            verifier = drive.make(server.settings(), clock=clock)
            drive.verify(verifier, good)
            began, before, refused, accepted_at = clock.at, server.fetches, 0, None
            for n in range(10_000):
                clock.at = began + n * MINUTE / 10_000
                answered(drive, verifier, nobody(n))
                if n == 0:
                    server.published = [old, new]
                if n % 50 == 0:
                    refused += answered(drive, verifier, good) != "ok"
                    if accepted_at is None and answered(drive, verifier, renewed) == "ok":
                        accepted_at = clock.at - began
            scene = f"10,000 random kids in 60 s of the clock, {name}"
            yield Figure(scene, "fetches of the key set", server.fetches - before, "≤", 2)
            yield Figure(scene, "valid requests refused", refused, "=", 0)
            yield Figure(scene, "until a new key is accepted", accepted_at or HOUR, "≤", PROMISED, "s")


def flood_in_real_time(scale: Scale) -> Iterator[Figure]:
    """As many a second, with the machine's clock, beside a thread of valid requests."""
    with FaultServer() as server:
        new = signing_key("RSA", 2)
        good = server.issuing.token(**now_claims())
        renewed, nobody = signed_by(server, new, **now_claims()), of_nobody(server)
        verifier = Verifier(server.settings())
        verifier.verify(good)
        before, refused, valid, accepted_at, rotated_at = server.fetches, 0, 0, None, scale.flood / 3
        began, over = time.monotonic(), threading.Event()

        def use() -> None:
            nonlocal refused, valid, accepted_at
            while not over.wait(0.02):
                valid += 1
                refused += answered(Threads, verifier, good) != "ok"
                at = time.monotonic() - began
                if at >= rotated_at and accepted_at is None and answered(Threads, verifier, renewed) == "ok":
                    accepted_at = at - rotated_at

        user = threading.Thread(target=use)
        user.start()
        kids = int(10_000 * scale.flood / MINUTE)
        for n in range(kids):
            over.wait(max(0.0, began + n * scale.flood / kids - time.monotonic()))
            if time.monotonic() - began >= rotated_at:
                server.published = [server.issuing.key(), new]
            answered(Threads, verifier, nobody(n))
        over.set()
        user.join()
        scene = f"{kids:,} random kids in {scale.flood:g} s"
        yield Figure(scene, "fetches of the key set", server.fetches - before, "≤", math.ceil(scale.flood / PROMISED))
        yield Figure(scene, "valid requests", valid, "≥", scale.flood)
        yield Figure(scene, "valid requests refused", refused, "=", 0)
        if scale.flood > 2 * PROMISED - 1:
            yield Figure(scene, "until a new key is accepted", accepted_at or HOUR, "≤", PROMISED, "s")


# --------------------------------------------------------------------------------------------------- a stalled endpoint


def stalled(scale: Scale) -> Iterator[Figure]:
    """Two verifiers, one whose refresh hangs, asked in turn: what else the machine does meets both alike."""
    yield _slowdown("threads", _timed_in_threads, scale)
    yield _slowdown("tasks", _timed_in_tasks, scale)


def _slowdown(name: str, timed: Callable[[Scale], tuple[list[int], list[int]]], scale: Scale) -> Figure:
    """What else the machine does can only add to a time: of each, the least p99 of several samples counts."""
    samples = [timed(scale) for _ in range(ROUNDS)]
    normal, during = (
        min(statistics.quantiles(times, n=100)[98] for times in own) for own in zip(*samples, strict=True)
    )
    # A remembered token takes about a microsecond: of that, a p99 tells of the machine and of nothing else.
    slowdown = during / max(normal, SHORTEST)
    return Figure(f"the endpoint stalls, {name}", "p99 of a known key", slowdown, "≤", 2.0, "× normal")


def _timed_in_threads(scale: Scale) -> tuple[list[int], list[int]]:
    with FaultServer() as server, Verifier(server.settings(), clock=Clock()) as normal:
        clock, token = Clock(), server.issuing.token()
        with Verifier(server.settings(), clock=clock) as hung:
            normal.verify(token)
            hung.verify(token)
            server.set_mode("hang")
            clock.at += SOFT_AGE
            hung.verify(token)
            times: tuple[list[int], list[int]] = ([], [])
            for _ in range(scale.timed):
                for verifier, own in zip((normal, hung), times, strict=True):
                    began = time.perf_counter_ns()
                    verifier.verify(token)
                    own.append(time.perf_counter_ns() - began)
            _still_under_way(hung)
            return times


def _timed_in_tasks(scale: Scale) -> tuple[list[int], list[int]]:
    async def main(server: FaultServer) -> tuple[list[int], list[int]]:
        clock, token = Clock(), server.issuing.token()
        async with (
            AsyncVerifier(server.settings(), clock=Clock()) as normal,
            AsyncVerifier(server.settings(), clock=clock) as hung,
        ):
            await normal.verify(token)
            await hung.verify(token)
            server.set_mode("hang")
            clock.at += SOFT_AGE
            await hung.verify(token)
            times: tuple[list[int], list[int]] = ([], [])
            for _ in range(scale.timed):
                await asyncio.sleep(0)
                for verifier, own in zip((normal, hung), times, strict=True):
                    began = time.perf_counter_ns()
                    await verifier.verify(token)
                    own.append(time.perf_counter_ns() - began)
            _still_under_way(hung)
            return times

    with FaultServer() as server:
        return asyncio.run(main(server))


def _still_under_way(verifier: Verifier | AsyncVerifier) -> None:
    """Else the measurement would have missed what it is about."""
    counters = verifier.counters()
    if (counters.loads, counters.failed_loads) != (2, 0):
        raise RuntimeError(f"the refresh must be under way all the time, got {counters}")


# ---------------------------------------------------------------------------------------------- outages, withdrawals


def a_day_without_the_issuer(scale: Scale) -> Iterator[Figure]:
    faults = itertools.cycle(["500", "429", "reset", "non-JSON", "empty", "truncated"])
    for name, drive in DRIVES.items():
        with FaultServer() as server:
            clock, good, nobody = Clock(), server.issuing.token(), of_nobody(server)
            verifier = drive.make(server.settings(), clock=clock)
            drive.verify(verifier, good)
            began, refused, before = clock.at, 0, server.fetches
            while clock.at + scale.step < began + DAY:
                clock.at += scale.step
                server.set_mode(next(faults))
                refused += answered(drive, verifier, good) != "ok"
                landed()
            attempts = server.fetches - before
            clock.at = began + DAY
            after = Counter(answered(drive, verifier, token) for token in (good, nobody(1), nobody(2), good))
            server.set_mode("ok")
            clock.at += BACK_OFF[1]
            back = answered(drive, verifier, good) == "ok"
            scene = f"24 h outage of the clock, {name}"
            yield Figure(scene, "attempts meanwhile", attempts, "≥", 100)
            yield Figure(scene, "valid requests refused meanwhile", refused, "=", 0)
            yield Figure(scene, "then answers that are no 503", 4 - after["503 KeysUnavailable"], "=", 0)
            yield Figure(scene, "accepted again without a restart", int(back), "=", 1)


def withdrawn() -> Iterator[Figure]:
    """Right after the set was fetched: the worst moment."""
    for name, drive in DRIVES.items():
        yield Figure(f"a withdrawn key, {name}", "refused after, busy", _while_busy(drive), "≤", 10 * MINUTE, "s")
        # Who has not asked for so long waits for one attempt, and is then refused.
        idle = _while_idle(drive, 15 * MINUTE)
        yield Figure(f"a withdrawn key, {name}", "accepted after 15 min of idleness", int(idle), "=", 0)


def _while_busy(drive: Drive) -> float:
    """Seconds from the withdrawal to the first refusal, with a request each second."""
    with FaultServer() as server:
        clock, good = Clock(), server.issuing.token()
        verifier = drive.make(server.settings(), clock=clock)
        drive.verify(verifier, good)
        clock.at += 1.0
        withdrawn_at, server.published = clock.at, [signing_key("RSA", 2)]
        while answered(drive, verifier, good) == "ok" and clock.at < withdrawn_at + HOUR:
            landed()
            clock.at += 1.0
        return clock.at - withdrawn_at


def _while_idle(drive: Drive, seconds: float) -> bool:
    with FaultServer() as server:
        clock, good = Clock(), server.issuing.token()
        verifier = drive.make(server.settings(), clock=clock)
        drive.verify(verifier, good)
        server.published = [signing_key("RSA", 2)]
        clock.at += seconds
        return answered(drive, verifier, good) == "ok"


# -------------------------------------------------------------------------------------------------------------- faults


@dataclass(frozen=True)
class Endured:
    """What a verifier made of a fault.

    cold: of a token, when it had no keys; cold_trouble: what its status says then; warm: of the same token, three times
    around a refresh; asked: how often that refresh asked for the document; kids: before and after it.
    """

    fault: Fault
    path: str
    name: str
    cold: str
    cold_trouble: str | None
    recovered: str
    warm: tuple[str, ...]
    asked: int
    kids: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def holds(self) -> bool:
        """Were the keys there were never lost, and was the client never blamed?"""
        cold = "ok" if self.fault.trouble is None else "503 KeysUnavailable"
        told = (self.cold, self.cold_trouble) == (cold, self.fault.told(self.path))
        unharmed = self.recovered == "ok" and set(self.warm) == {"ok"} and self.kids[0] == self.kids[1]
        return told and unharmed and self.asked == 1


def endure(fault: Fault, path: str, name: str) -> Endured:
    """One fault of one document, met by a verifier without keys, and by one with."""
    drive: Drive = DRIVES[name]
    settled: queue.SimpleQueue[KeyEvent] = queue.SimpleQueue()  # one for each load
    with FaultServer() as server:
        clock, good = Clock(), server.issuing.token()
        verifier = drive.make(server.settings(), clock=clock, on_event=settled.put)
        server.set_mode(fault.name, path)
        cold = answered(drive, verifier, good)
        settled.get(timeout=2 * PATIENCE)
        cold_trouble = verifier.status().issuers[0].trouble
        recovered = cold
        if cold != "ok":
            server.set_mode("ok")
            clock.at += BACK_OFF[0]
            recovered = answered(drive, verifier, good)
            settled.get(timeout=2 * PATIENCE)
        before, asked = verifier.status().issuers[0].kids, server.counted[path]
        server.set_mode(fault.name, path)
        clock.at += SOFT_AGE
        warm = [answered(drive, verifier, good)]
        settled.get(timeout=2 * PATIENCE)
        warm += [answered(drive, verifier, good), answered(drive, verifier, good)]
        asked, after = server.counted[path] - asked, verifier.status().issuers[0].kids
    return Endured(fault, path, name, cold, cold_trouble, recovered, tuple(warm), asked, (before, after))


def endure_all() -> list[Endured]:
    """Each fault that must not harm the key that signs, in each document, with both drivers; many at a time."""
    faults = [fault for fault in FAULTS.values() if fault.serves]
    cases = [(fault, path, name) for fault in faults for path in fault.documents for name in DRIVES]
    cases.sort(key=lambda case: case[0].trouble != "deadline")  # those that last come first
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda case: endure(*case), cases))


def faults() -> Iterator[Figure]:
    endured = endure_all()
    refused = sum(answer != "ok" for one in endured for answer in one.warm)
    scene = f"{len({one.fault.name for one in endured})} faults, of both documents, with both drivers"
    yield Figure(scene, "cases", len(endured), "≥", 90)
    yield Figure(scene, "valid requests refused around a refresh", refused, "=", 0)
    yield Figure(scene, "sets in use lost", sum(one.kids[0] != one.kids[1] for one in endured), "=", 0)
    yield Figure(scene, "answers other than 503 while there are no keys", _blamed(endured), "=", 0)


def _blamed(endured: Sequence[Endured]) -> int:
    return sum(one.cold != "503 KeysUnavailable" for one in endured if one.fault.trouble is not None)


# ----------------------------------------------------------------------------------------------------------- the table


def scenes(scale: Scale) -> dict[str, Callable[[], Iterator[Figure]]]:
    return {
        "cold tasks": cold_tasks,
        "cold threads": cold_threads,
        "cold, mixed": cold_mixed,
        "cold workers": cold_workers,
        "warm workers": warm_workers,
        "flood": flood,
        "flood in real time": lambda: flood_in_real_time(scale),
        "stalled": lambda: stalled(scale),
        "a day without the issuer": lambda: a_day_without_the_issuer(scale),
        "withdrawn": withdrawn,
        "faults": faults,
    }


def line(figure: Figure) -> str:
    measured = f"{figure.measured:,.4g}" if figure.measured < 1_000 else f"{figure.measured:,.0f}"
    mark = "" if figure.holds else "  NOT HELD"
    return f"  {figure.what:<50} {measured:>8}  {figure.relation} {figure.limit:g} {figure.unit}".rstrip() + mark


def main() -> int:
    asks = argparse.ArgumentParser(prog="python -m tests.outage", description="What a bad day costs, as a table.")
    asks.add_argument("scenes", nargs="*", metavar="SCENE", help="all, unless named: " + ", ".join(scenes(QUICK)))
    asks.add_argument("--whole", action="store_true", help="the flood for 60 s, the outage minute by minute")
    asked = asks.parse_args()
    known = scenes(WHOLE if asked.whole else QUICK)
    held, scene = True, ""
    logging.getLogger("jwtgate").setLevel(logging.CRITICAL)
    for name in asked.scenes or known:
        for figure in known[name]():
            if figure.scene != scene:
                scene = figure.scene
                print(f"\n{scene}")
            print(line(figure), flush=True)
            held = held and figure.holds
    print("\nAll held." if held else "\nNOT ALL HELD.")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
