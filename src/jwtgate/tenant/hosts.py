"""Under which names a tenant may be called: its issuer's, and those of loopback."""

from __future__ import annotations

import ipaddress
import re

HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
DEFAULT_PORTS = {"http": "80", "https": "443"}


def base_url(host: str, *, issuer: str, port: str) -> str | None:
    """The address that this Host header names, with a slash at its end; None where it is not this tenant's.

    port: the one that it listens on. Any other name may be one that its owner has pointed at this machine (DNS
    rebinding): a page of theirs would then be of the same origin as the tenant, and could read what it answers.
    """
    scheme, _, own = issuer.removesuffix("/").partition("://")
    asked = HOST.fullmatch(host.lower())
    if asked is None:
        return None
    if _name_and_port(asked, scheme) == _name_and_port(HOST.fullmatch(own), scheme):
        return issuer
    if is_loopback(asked[1].strip("[]")) and (asked[2] or DEFAULT_PORTS["http"]) == port:
        return f"http://{asked[0]}/"
    return None


def is_loopback(name: str) -> bool:
    """Whether this name, or address without brackets, is of this machine alone."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _name_and_port(found: re.Match[str] | None, scheme: str) -> tuple[str, str] | None:
    return None if found is None else (found[1], found[2] or DEFAULT_PORTS[scheme])
