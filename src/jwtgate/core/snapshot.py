"""Key sets as a document that outlives the process: public keys by issuer, and when they came."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .compact import parse_json
from .errors import shown

MARK: Final = "jwtgate_keys"  # the member that says what the document is; its value is the version of its form
VERSION: Final = 1
SNAPSHOT_BYTES = 16 * 1024 * 1024
SNAPSHOT_DEPTH, SNAPSHOT_MEMBERS = 6, 1_000_000
ISSUERS_KEPT = 1_000
AHEAD = 300.0  # seconds: a set that came later than this from now is no news from the past, and not believed


@dataclass(frozen=True, slots=True)
class Kept:
    """The keys of one issuer. jwks: a JWK Set; loaded_at: when the issuer published it, seconds since the epoch."""

    jwks: Mapping[str, Any]
    loaded_at: float


Snapshot = Mapping[str, Kept]


def write_snapshot(snapshot: Snapshot) -> bytes:
    """The document. What it holds is public; whoever can change it can forge tokens."""
    issuers = {url: {"loaded_at": kept.loaded_at, **kept.jwks} for url, kept in sorted(snapshot.items())}
    return json.dumps({MARK: VERSION, "issuers": issuers}, indent=1).encode("ascii")


def read_snapshot(document: bytes) -> dict[str, Kept]:
    """By issuer, its keys. Raises ValueError."""
    if len(document) > SNAPSHOT_BYTES:
        raise ValueError(f"a snapshot may have {SNAPSHOT_BYTES} bytes, got {len(document)}")
    value = parse_json(document, depth=SNAPSHOT_DEPTH, members=SNAPSHOT_MEMBERS)
    if not isinstance(value, Mapping) or value.get(MARK) != VERSION or not isinstance(value.get("issuers"), Mapping):
        raise ValueError(f"a snapshot must be a JSON object with {MARK!r}: {VERSION} and an object 'issuers'")
    return {url: _kept(url, entry) for url, entry in value["issuers"].items()}


def _kept(url: str, entry: object) -> Kept:
    loaded_at = entry.get("loaded_at") if isinstance(entry, Mapping) else None
    keys = entry.get("keys") if isinstance(entry, Mapping) else None
    if isinstance(loaded_at, bool) or not isinstance(loaded_at, int | float) or not isinstance(keys, list):
        raise ValueError(f"a snapshot must have 'keys' and 'loaded_at' for each issuer: {shown(url)}")
    return Kept({"keys": keys}, float(loaded_at))


def merged(snapshots: Iterable[Snapshot]) -> dict[str, Kept]:
    """Of each issuer the youngest keys; of too many issuers those with the youngest."""
    found: dict[str, Kept] = {}
    for snapshot in snapshots:
        for url, kept in snapshot.items():
            if url not in found or found[url].loaded_at < kept.loaded_at:
                found[url] = kept
    youngest = sorted(found, key=lambda url: found[url].loaded_at)[-ISSUERS_KEPT:]
    return {url: found[url] for url in youngest}


def own_part(document: bytes, issuer: str) -> bytes:
    """Of a snapshot the JWK Set of this issuer; any other document as it stands. Raises ValueError."""
    if MARK.encode() not in document:
        return document
    kept = read_snapshot(document).get(issuer)
    if kept is None:
        raise ValueError(f"the snapshot holds no keys of {shown(issuer)}")
    return json.dumps(kept.jwks).encode("ascii")
