"""Where an issuer's metadata may be, and what in it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from .compact import parse_json
from .effects import Document, Fetch, FetchFailed, Flow
from .errors import SettingsError, shown
from .key_state import HARD_AGE, METADATA_AGE, Metadata
from .settings import Issuer
from .values import check_url

METADATA_BYTES = 512 * 1024
METADATA_DEPTH, METADATA_MEMBERS = 8, 2_000


def metadata_urls(issuer: Issuer) -> tuple[str, ...]:
    """Where to look, in this order: where the settings say, else at both well-known addresses.

    OpenID Connect Discovery 1.0 section 4 appends to the issuer's path; RFC 8414 section 3.1 inserts before it.
    """
    if issuer.metadata_url is not None:
        return (issuer.metadata_url,)
    parts = urlsplit(issuer.url)
    inserted = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path.removesuffix('/')}"
    return issuer.discovery_url, inserted


def discover(issuer: Issuer, known: Metadata | None, now: float, *, again: bool) -> Flow[Metadata]:
    """The issuer's metadata: what is known of it, while it is young, or where it cannot be had again.

    again: read it again, however young: the last load failed, and perhaps the keys have moved. Raises FetchFailed.
    """
    if known is not None and not again and now - known.read_at < METADATA_AGE:
        return known
    urls = metadata_urls(issuer)
    if known is not None:
        urls = tuple(sorted(urls, key=lambda url: url != known.url))  # the one that answered before comes first
    try:
        return (yield from _read(issuer, urls, now))
    except FetchFailed:
        # The address was good within the day, and what it brings is looked at as strictly as ever.
        if known is None or now - known.read_at >= HARD_AGE:
            raise
        return known


def _read(issuer: Issuer, urls: Sequence[str], now: float) -> Flow[Metadata]:
    url, *others = urls
    try:
        document: Document = yield Fetch(url, METADATA_BYTES)
    except FetchFailed as failure:
        if others and _is_not_there(failure.status):
            return (yield from _read(issuer, others, now))
        raise
    return Metadata(url, read_metadata(document.octets, issuer), now)


def _is_not_there(status: int | None) -> bool:
    """Did the server answer, and answer that it has no such page? Then there may be another."""
    return status is not None and 400 <= status < 500 and status != 429


def read_metadata(octets: bytes, issuer: Issuer) -> str:
    """The `jwks_uri` in an issuer's metadata. Raises FetchFailed."""
    try:
        metadata = parse_json(octets, depth=METADATA_DEPTH, members=METADATA_MEMBERS)
    except ValueError:
        raise FetchFailed("the issuer's metadata is no strict JSON text", "metadata") from None
    if not isinstance(metadata, Mapping):
        raise FetchFailed("the issuer's metadata is no JSON object", "metadata")
    # RFC 8414 section 3.3: it must be identical, or the keys may be somebody else's.
    if metadata.get("issuer") != issuer.url:
        raise FetchFailed(f"the metadata is of issuer {shown(metadata.get('issuer'))}", "metadata")
    url = metadata.get("jwks_uri")
    try:
        check_url("jwks_uri", url, allow_http=issuer.allow_http, query=True)
    except SettingsError as error:
        raise FetchFailed(f"the metadata's {error}", "metadata") from None
    return str(url)
