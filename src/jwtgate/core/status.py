"""What a verifier knows of itself, as frozen values for probes, metrics and people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .effects import Trouble

Source = Literal["metadata", "jwks_uri", "jwks", "jwks_file", "signing_secret"]


@dataclass(frozen=True, slots=True)
class IssuerStatus:
    """The keys of one issuer, now.

    source: where they come from: its metadata, a known address, the settings themselves, a file, or a shared secret.
    jwks_uri: the address that they last came from, None where there is none.
    ready: are there keys that serve?
    restored: does the set in use come from a snapshot?
    kids: the names of the keys that can be used; skipped: for each that cannot, its place and why.
    generation: how many sets there have been.
    age: seconds since the set in use came; next_load_in: until it is asked for again (0: due, at the next request or
        sooner); serves_for: until it serves nobody any more. None each where nothing is loaded.
    failures: failed loads since the last good one; trouble, last_error: the last of them, as one of a few names and in
        words.
    """

    issuer: str
    source: Source
    jwks_uri: str | None
    ready: bool
    restored: bool
    kids: tuple[str, ...]
    skipped: tuple[str, ...]
    generation: int
    age: float | None
    next_load_in: float | None
    serves_for: float | None
    failures: int
    trouble: Trouble | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """issuers: those in the settings, then those that a resolver named and that are remembered.

    ready: have all issuers in the settings keys that serve?
    """

    issuers: tuple[IssuerStatus, ...]
    ready: bool


@dataclass(frozen=True, slots=True)
class Counters:
    """How often what happened since the verifier was made, in this process.

    accepted: tokens; refused: requests, by the name of the error (`AuthError.event`).
    loads, failed_loads: of key sets; kid_loads: those that an unknown kid caused.
    fetches, failed_fetches: of single documents over the network.
    """

    accepted: int
    refused: Mapping[str, int]
    loads: int
    failed_loads: int
    kid_loads: int
    fetches: int
    failed_fetches: int
