"""A day of an API's keys: a rotation, an outage and a flood against the key logic itself, drawn as an SVG.

    python examples/key_simulation.py > day.svg

Nothing is fetched and no time passes: the clock is a number, and the issuer answers with what the hour says. The same
objects decide here as in a verifier. The picture is the same each time.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from jwtgate import ApiSettings, AuthError, Issuer
from jwtgate.core.compact import Unverified
from jwtgate.core.effects import Document, Effect, Fetch, FetchFailed, Flow, LoadKeys, Moment, Now, Settle
from jwtgate.core.keys import IssuerKeys, keys_of

ISSUER: Final = "https://issuer.example/"
JWKS_URI: Final = f"{ISSUER}keys"
MINUTE, HOUR, DAY = 60, 3_600, 86_400
STEP: Final = 10  # seconds between two looks at the clock
BIN: Final = 10 * MINUTE  # what one bar of the picture covers
SEEDS: Final = (0.11, 0.36, 0.61, 0.86)  # of the jitter: one for each process of the API
ROUND_TRIP: Final = 0.1  # seconds for one document

ROTATION: Final = 4 * HOUR  # the new key is published, and signs from now on
WITHDRAWAL: Final = 6 * HOUR  # the old one is taken out of the set
OUTAGE: Final = range(9 * HOUR, 15 * HOUR)  # every answer is a 500
FLOOD: Final = range(18 * HOUR, 19 * HOUR)  # 8 tokens a second, each with another kid that nobody has
KIDS: Final = 8 * STEP

# The public keys of RFC 7517 appendix A.1 and RFC 7515 appendix A.3.
OLD: Final = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "old",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
}
NEW: Final = {
    "kty": "EC",
    "crv": "P-256",
    "kid": "new",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}


def published(at: float) -> list[dict[str, str]]:
    """The issuer's keys at this time of day."""
    if at < ROTATION:
        return [OLD]
    return [OLD, NEW] if at < WITHDRAWAL else [NEW]


@dataclass
class Day:
    """What happened. Times are seconds since midnight.

    fetches: of the key set: when they began, and whether they brought one; ages: of the oldest set in use, each minute.
    valid: requests with a key that the issuer publishes; refused: how many of those were; refusals: of others, by bar.
    random: tokens of the flood, by their answer; new_at: when each process first took the new key; old_at: when each
    last took the withdrawn one.
    """

    fetches: list[tuple[float, bool]] = field(default_factory=list)
    ages: list[tuple[float, float]] = field(default_factory=list)
    valid: int = 0
    refused: int = 0
    random: Counter[str] = field(default_factory=Counter)
    refusals: Counter[int] = field(default_factory=Counter)
    new_at: list[float] = field(default_factory=list)
    old_at: dict[float, float] = field(default_factory=dict)


class Process:
    """One process of the API: its keys, and a driver that performs what they ask for."""

    def __init__(self, seed: float, day: Day) -> None:
        issuer = Issuer(ISSUER, signing_algorithms=["ES256"])
        self.keys: IssuerKeys = keys_of(ApiSettings(identifier="https://api.example/", issuers=[issuer]), seed)[ISSUER]
        self.seed = seed
        self.day = day
        self.at = 0.0
        self.later: list[LoadKeys] = []  # loads that nobody waits for

    def ask(self, at: float, kid: str) -> str:
        """A request with a token of this kid: "ok", or the refusal's name."""
        self.at, answer = at, "ok"
        try:
            self.drive(self.keys.find(Unverified(".", {"alg": "ES256", "kid": kid}, {}, b"")))
        except AuthError as error:
            answer = type(error).__name__
        self.look(at)
        return answer

    def look(self, at: float) -> None:
        """What an alarm does: load what is due, whether or not a request has come."""
        due = self.keys.refresh(at)
        for effect in (*self.later, *([due] if due else [])):
            self.load(effect, at)
        self.later.clear()

    def load(self, effect: LoadKeys, at: float) -> None:
        if effect.settled == self.keys.state.settled:  # else another load has brought the answer
            self.at = at
            self.drive(self.keys.load(self.keys.begin(), self.moment(), effect.kid))
            self.at = at

    def drive(self, flow: Flow[Any]) -> None:
        step, answer = flow.send, None
        try:
            while True:
                effect: Effect = step(answer)
                try:
                    step, answer = flow.send, self.perform(effect)
                except FetchFailed as failure:
                    step, answer = flow.throw, failure
        except StopIteration:
            return

    def perform(self, effect: Effect) -> Any:
        match effect:
            case Now():
                return self.moment()
            case Fetch():
                return self.fetch(effect.url)
            case LoadKeys() if effect.urgent:
                return self.load(effect, self.at)
            case LoadKeys():
                return self.later.append(effect)
            case Settle():
                return self.keys.settle(effect.attempt)
        raise TypeError(f"an effect that no key asks for: {effect}")

    def fetch(self, url: str) -> Document:
        began = self.at
        self.at += ROUND_TRIP
        works = not OUTAGE.start <= began < OUTAGE.stop
        if url == JWKS_URI:
            self.day.fetches.append((began, works))
        if not works:
            raise FetchFailed("status 500", "status", 500)
        found = {"keys": published(began)} if url == JWKS_URI else {"issuer": ISSUER, "jwks_uri": JWKS_URI}
        return Document(json.dumps(found).encode())

    def moment(self) -> Moment:
        return Moment(self.at, self.at)


def simulate() -> Day:
    """The day, ten seconds at a time."""
    day = Day()
    processes = [Process(seed, day) for seed in SEEDS]
    for at in range(0, DAY, STEP):
        for number, process in enumerate(processes):
            if at in FLOOD:
                flood(process, at, number)
            use(process, at)
        if at % MINUTE == 0:
            day.ages.append((at, max(at - process.keys.state.loaded_at for process in processes)))
    return day


def use(process: Process, at: int) -> None:
    """A request with the key that signs now, and one of somebody who still has a token of the old one."""
    day = process.day
    answer = process.ask(at, "old" if at < ROTATION else "new")
    day.valid += 1
    day.refused += answer != "ok"
    if at >= ROTATION and answer == "ok" and len(day.new_at) < len(SEEDS):
        day.new_at.append(at)
    if at >= WITHDRAWAL:
        if process.ask(at, "old") == "ok":
            day.old_at[process.seed] = at
        else:
            day.refusals[at // BIN] += 1


def flood(process: Process, at: int, number: int) -> None:
    for n in range(KIDS // len(SEEDS)):
        process.day.random[process.ask(at, f"random-{at}-{number}-{n}")] += 1
        process.day.refusals[at // BIN] += 1


# ---------------------------------------------------------------------------------------------------------- the picture

WIDTH, LEFT, RIGHT = 960, 72, 28
LANES: Final = {"fetches": (78, 120), "age": (244, 140), "refused": (430, 110)}  # top and height
HEIGHT: Final = 580
INK, GRID, GOOD, BAD, OLD_AGE = "#1f2430", "#d9dce3", "#2f6f9f", "#c2452d", "#7a5ca8"
STYLE: Final = f"""text{{font:12px sans-serif;fill:{INK}}}.h{{font-weight:bold;font-size:13px}}.s{{font-size:11px}}
.e{{text-anchor:end}}.m{{text-anchor:middle}}line{{stroke:{GRID}}}"""
SHADES: Final = (
    (ROTATION, ROTATION, "rotation"),
    (WITHDRAWAL, WITHDRAWAL, "withdrawal"),
    (OUTAGE.start, OUTAGE.stop, "outage, 6 h"),
    (FLOOD.start, FLOOD.stop, "flood"),
)


def across(at: float) -> float:
    return LEFT + at / DAY * (WIDTH - LEFT - RIGHT)


def draw(day: Day) -> str:
    """The picture, as an SVG document."""
    parts = [*frame(), *fetches(day), *ages(day), *refusals(day)]
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{summary(day)}">'
    body = "\n".join(parts)
    return f'{head}\n<style>{STYLE}</style>\n<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'


def summary(day: Day) -> str:
    return f"{day.valid:,} valid requests, {day.refused} refused; {len(day.fetches):,} fetches of the key set"


def frame() -> Iterator[str]:
    yield text(LEFT, 20, f"A day of an API in {len(SEEDS)} processes", "h")
    for start, stop, name in SHADES:
        x, width = across(start), max(1.5, across(stop) - across(start))
        yield f'<rect x="{x:.1f}" y="46" width="{width:.1f}" height="{HEIGHT - 76}" fill="#f1e7d0"/>'
        yield text(x + width / 2, 40, name, "s m")
    for hour in range(0, 25, 3):
        x = across(hour * HOUR)
        for top, height in LANES.values():
            yield f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + height}"/>'
        yield text(x, HEIGHT - 12, f"{hour:02}:00", "s m")


def fetches(day: Day) -> Iterator[str]:
    top, height = LANES["fetches"]
    bars = Counter((int(at) // BIN, works) for at, works in day.fetches)
    most = 100
    ends = f'<tspan fill="{GOOD}">with</tspan> and <tspan fill="{BAD}">without</tspan>'
    yield from axis(top, height, f"fetches of the key set per 10 minutes, {ends} a good answer")
    for label in (0, 40, 80):  # 4 processes, 2 in a minute: what a flood may cause
        yield text(LEFT - 6, top + height - label / most * height + 4, str(label), "s e")
    for (place, works), count in sorted(bars.items()):
        below = bars[place, True] if not works else 0
        yield bar(place, LANES["fetches"], (below / most, (below + count) / most), GOOD if works else BAD)


def ages(day: Day) -> Iterator[str]:
    top, height = LANES["age"]
    yield from axis(top, height, "age of the oldest set in use; after 24 h it would serve nobody any more")

    def y(age: float) -> float:  # each step of the same height is ten times the age
        return top + height - math.log10(max(age, MINUTE) / MINUTE) / math.log10(DAY / MINUTE) * height

    for age, name in ((MINUTE, "1 min"), (10 * MINUTE, "10 min"), (HOUR, "1 h"), (6 * HOUR, "6 h"), (DAY, "24 h")):
        yield f'<line x1="{LEFT}" y1="{y(age):.1f}" x2="{WIDTH - RIGHT}" y2="{y(age):.1f}"/>'
        yield text(LEFT - 6, y(age) + 4, name, "s e")
    points = " ".join(f"{across(at):.1f},{y(age):.1f}" for at, age in day.ages[::2])
    yield f'<polyline points="{points}" fill="none" stroke="{OLD_AGE}" stroke-width="1.2"/>'


def refusals(day: Day) -> Iterator[str]:
    top, height = LANES["refused"]
    most = 6_000
    yield from axis(top, height, "requests refused per 10 minutes: the flood, and who still sends the withdrawn key")
    for label in (0, 3_000, 6_000):
        yield text(LEFT - 6, top + height - label / most * height + 4, f"{label:,}", "s e")
    for place, count in sorted(day.refusals.items()):
        yield bar(place, LANES["refused"], (0.0, count / most), BAD)
    yield text(LEFT + 8, top + 26, f"valid requests: {day.valid:,}, of them refused: {day.refused}", "h")


def axis(top: int, height: int, title: str) -> Iterator[str]:
    yield text(LEFT, top - 6, title, "")
    yield f'<line x1="{LEFT}" y1="{top + height}" x2="{WIDTH - RIGHT}" y2="{top + height}"/>'


def bar(place: int, lane: tuple[int, int], span: tuple[float, float], colour: str) -> str:
    (top, height), (low, high) = lane, span
    x, width, y = across(place * BIN), across(BIN) - across(0) - 0.6, top + height * (1 - high)
    tall = height * (high - low)
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{colour}"/>'


def text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{words}</text>'


if __name__ == "__main__":
    sys.stdout.write(draw(simulate()))
