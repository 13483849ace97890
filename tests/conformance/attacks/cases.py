"""The kinds of attack: on a token, on a request, on the settings, and one that is played in several moves.

Each has the id under which it is listed; an id that ends in `+` stands for the rest of its class.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jwtgate import ApiSettings, Issuer
from tests.conformance.attacks.answers import Wanted
from tests.doors import ISSUING, Sent, settings_for
from tests.loopback import Drive, Tasks, Threads
from tests.making import API, signing_key

BOTH: Final = (Threads, Tasks)


# --- the settings under which an attack takes place ---------------------------------------------------------


@dataclass(frozen=True, eq=False)
class World:
    """Settings by name. build: makes them, with the changes of a mode on top."""

    name: str
    build: Callable[..., ApiSettings] = field(repr=False)

    def __str__(self) -> str:
        return self.name


@functools.cache
def own_jwks() -> dict[str, Any]:
    """The same keys as those which a door in another process is told."""
    return ISSUING.jwks(*(signing_key(kind).jwk() for kind in ("RSA", "P-256", "Ed25519")))


def world(name: str, **settings: Any) -> World:
    """The settings that every door has, some of them changed."""
    return World(name, lambda **mode: settings_for(own_jwks(), **{**settings, **mode}))


def world_of(
    name: str, keys: Callable[[], Sequence[Mapping[str, Any]]], algorithms: Sequence[str] = ("RS256",), **settings: Any
) -> World:
    """One issuer alone, whose keys are these."""

    def build(**mode: Any) -> ApiSettings:
        issuer = Issuer(ISSUING.url, jwks={"keys": list(keys())}, signing_algorithms=algorithms)
        return ApiSettings(**{"identifier": API, "issuers": [issuer], **settings, **mode})

    return World(name, build)


PLAIN: Final = world("plain")
LARGE: Final = world("large tokens", max_token_bytes=1_048_576)


@dataclass(frozen=True)
class Carried(Sent):
    """A request with what its connection tells. certificate: the client's, in DER; peer: who is at the other end."""

    certificate: bytes | None = None
    peer: str = "127.0.0.1"


# --- attacks ------------------------------------------------------------------------------------------------

Forge = Callable[[], Any]


@dataclass(frozen=True)
class TokenAttack:
    """A token, and what comes of it through `verify`.

    forge: makes it, once in a run; within: seconds that its refusal may take.
    """

    id: str
    about: str
    forge: Forge = field(repr=False)
    wanted: Wanted
    world: World = PLAIN
    within: float | None = None

    def __str__(self) -> str:
        return f"{self.id} {self.about}"


@dataclass(frozen=True)
class Sweep:
    """Very many changes of one good token, none of which may pass. good: its maker; changed: all of them."""

    id: str
    about: str
    good: Callable[[], str] = field(repr=False)
    changed: Callable[[str], Iterator[str]] = field(repr=False)
    world: World = PLAIN

    def __str__(self) -> str:
        return f"{self.id} {self.about}"


@dataclass(frozen=True)
class RequestAttack:
    """A whole request, and what comes of it through every door.

    make: the request, once in a run; by_server: statuses with which a real server may answer before any gate is asked;
    not_at: by door, why the case cannot exist there; websocket: it is a handshake.
    """

    id: str
    about: str
    make: Callable[[], Sent] = field(repr=False)
    wanted: Wanted
    world: World = PLAIN
    by_server: tuple[int, ...] = ()
    not_at: Mapping[str, str] = field(default_factory=dict, hash=False)
    websocket: bool = False

    def __str__(self) -> str:
        return f"{self.id} {self.about}"


@dataclass(frozen=True)
class Mistake:
    """Settings that could never be right. setting: the one that is named as wrong."""

    id: str
    about: str
    build: Callable[[], object] = field(repr=False)
    setting: str

    def __str__(self) -> str:
        return f"{self.id} {self.about}"


@dataclass(frozen=True)
class Scenario:
    """Several moves against an issuer's server, a clock and a verifier. play: makes them, and asserts.

    letters: what its moves are answered with; drives: of which driver it can be asked.
    """

    id: str
    about: str
    letters: str
    play: Callable[[Any], None] = field(repr=False)
    drives: tuple[Drive, ...] = BOTH

    def __str__(self) -> str:
        return f"{self.id} {self.about}"


@dataclass(frozen=True)
class Check:
    """Something that holds for every answer. look: asserts it."""

    id: str
    about: str
    look: Callable[[], None] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.id} {self.about}"


Attack = TokenAttack | Sweep | RequestAttack | Mistake | Scenario | Check


def forged(
    name: str, wanted: Wanted, tokens: Mapping[str, Forge], world: World = PLAIN, within: float | None = None
) -> list[Attack]:
    """An attack for each token. name: the id of them all."""
    return [TokenAttack(name, about, functools.cache(forge), wanted, world, within) for about, forge in tokens.items()]


def carried(
    name: str,
    wanted: Wanted,
    requests: Mapping[str, Callable[[], Sent]],
    world: World = PLAIN,
    by_server: tuple[int, ...] = (),
    **more: Any,
) -> list[Attack]:
    """An attack for each request. name: the id of them all; more: of RequestAttack."""
    return [
        RequestAttack(name, about, functools.cache(make), wanted, world, by_server, **more)
        for about, make in requests.items()
    ]


def everywhere(name: str, wanted: Wanted, tokens: Mapping[str, Forge], world: World = PLAIN) -> list[Attack]:
    """An attack for each token, and another one for the request that carries it."""
    requests = {about: lambda forge=forge: bearing(forge()) for about, forge in tokens.items()}
    return [*forged(name, wanted, tokens, world), *carried(name, wanted, requests, world)]


def bearing(token: str, path: str = "/private", **changes: Any) -> Sent:
    """A request with that token."""
    return Sent(path, [(b"Authorization", b"Bearer " + token.encode())], **changes)


def mistakes(name: str, setting: str, settings: Mapping[str, Callable[[], object]]) -> list[Attack]:
    return [Mistake(name, about, build, setting) for about, build in settings.items()]


class Scenarios(list[Attack]):
    """The scenarios of a group, in the order in which they are written."""

    def scenario(
        self, name: str, letters: str, drives: tuple[Drive, ...] = BOTH
    ) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
        """A function that plays one. Its name says what it is about."""

        def add(play: Callable[[Any], None]) -> Callable[[Any], None]:
            self.append(Scenario(name, play.__name__.replace("_", " "), letters, play, drives))
            return play

        return add
