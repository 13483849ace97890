"""Whether two spellings of an HTTP address are of the same address (RFC 3986 section 6.2)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import unquote

# Scheme, authority and path. What stands behind them is a query or a fragment, and is not looked at.
_PARTS: Final = re.compile(r"(https?)://([^/?#]*)([^?#]*)", re.IGNORECASE | re.ASCII)
_AUTHORITY: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?", re.ASCII)
# No at-sign: RFC 9110 section 4.2.4 takes a user part for an error, as it is there to disguise the host.
_NAME: Final = re.compile(r"[a-z0-9._-]+", re.ASCII)
_LABEL_LENGTH: Final = 63
_NAME_LENGTH: Final = 255  # RFC 3986 section 3.2.2: names should have no more characters
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}  # RFC 9110 section 4.2.1, 4.2.2

# As nearly every address is sent: in its normal form, so that nothing is left to do.
_NORMAL: Final = re.compile(
    r"https?://[a-z0-9][a-z0-9.-]{0,199}+(?:/(?!\.\.?(?:[/?#]|\Z))[A-Za-z0-9\-._~!$&'()*+,;=:@]*+)++(?=[?#]|\Z)",
    re.ASCII,
)

# RFC 3986 section 2.3, and the others that may stand in a path as they are: section 3.3.
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH: Final = re.compile(r"(?:[\x20-\x24\x26-\x7e]|%[0-9A-Fa-f]{2})*+", re.ASCII)
_TRIPLET: Final = re.compile(r"%..")
# Such as | and [, which browsers send as they are and RFC 3986 does not allow.
_ODD: Final = {code: f"%{code:02X}" for code in map(ord, ' "<>[\\]^`{|}#?')}
_PATH_LENGTH: Final = 8_192  # characters: a proof has no room for more


def same_target(htu: str, url: str) -> bool:
    """Whether both are the same http or https address, query and fragment left out of account.

    What is no such address at all is the same as nothing, itself included.
    """
    try:
        target = normalised(url)
        return htu == target or normalised(htu) == target
    except ValueError:
        return False


def normalised(url: str) -> str:
    """The one spelling of an http or https address, without query and fragment.

    Case, percent-encoding and dot segments as in RFC 3986 section 6.2.2; port and empty path as in section 6.2.3.
    An encoded slash stays encoded: it is not a slash. A name in other letters than ASCII's is written in ASCII, as in
    DNS. Raises ValueError for anything else than http and https, for a user part, and for what is malformed.
    """
    normal = _NORMAL.match(url)
    if normal is not None:
        return normal[0]
    parts = _PARTS.match(url)
    if parts is None:
        raise ValueError("not an absolute http or https address")
    scheme = parts[1].lower()
    return f"{scheme}://{_authority(scheme, parts[2])}{_path(parts[3])}"


def _authority(scheme: str, text: str) -> str:
    parts = _AUTHORITY.fullmatch(text)
    if parts is None:
        raise ValueError("not a host, and a port of at most 5 digits")
    host = _literal(parts[1]) if parts[1].startswith("[") else _name(parts[1])
    port = int(parts[2] or _DEFAULT_PORTS[scheme])
    if port > 65_535:
        raise ValueError("no such port")
    return host if port == _DEFAULT_PORTS[scheme] else f"{host}:{port}"


def _literal(text: str) -> str:
    # RFC 3986 section 3.2.2: no zone identifiers. Of the many spellings of one address Python has one.
    if "%" in text:
        raise ValueError("an IPv6 address with a zone")
    return f"[{IPv6Address(text[1:-1]).compressed}]"  # AddressValueError is a ValueError


def _name(text: str) -> str:
    # RFC 3986 section 3.2.2: what is percent-encoded in a name is UTF-8.
    name = unquote(text, errors="strict") if "%" in text else text
    if len(name) > _NAME_LENGTH:
        raise ValueError(f"a name of more than {_NAME_LENGTH} characters")
    # RFC 1035 section 2.3.4. What is asked next takes time that grows with the square of a label.
    if max(map(len, name.split("."))) > _LABEL_LENGTH:
        raise ValueError(f"a label of more than {_LABEL_LENGTH} characters")
    name = name.lower() if name.isascii() else _in_ascii(name)
    if _NAME.fullmatch(name) is None:
        raise ValueError("not the name of a host")
    return name


def _in_ascii(name: str) -> str:
    """A name as it stands in DNS, in A-labels (RFC 5891): browsers send this, whatever is typed."""
    import idna  # noqa: PLC0415  # its tables are large, and such a name is rare where machines talk

    # By its rules of 2008, as browsers: those of 2003, which Python has, make one name of `ß` and `ss`.
    return idna.encode(name, uts46=True).decode("ascii")  # IDNAError is a ValueError


def _path(text: str) -> str:
    if len(text) > _PATH_LENGTH:
        raise ValueError(f"a path of more than {_PATH_LENGTH} characters")
    if _PATH.fullmatch(text) is None:
        raise ValueError("a path with control characters, other letters than ASCII's, or a broken percent-encoding")
    return _without_dots(_TRIPLET.sub(_spelt, text).translate(_ODD))


def _spelt(found: re.Match[str]) -> str:
    """One character that is percent-encoded, in its one spelling."""
    text = found[0]
    meant = chr(int(text[1:], 16))
    return meant if meant in _UNRESERVED else text.upper()


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, of a path that is empty or begins with a slash."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
