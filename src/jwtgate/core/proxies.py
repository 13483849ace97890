"""What is believed of a request that came through a proxy: the URL and the certificate that its client used."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .errors import InvalidForwarding, SettingsError, shown
from .mtls import forwarded_thumbprint, thumbprint
from .values import check_url, sequence

if TYPE_CHECKING:
    from .request import Request

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED: Final = "Forwarded"
UNIX: Final = "unix"  # among the trusted proxies: a peer that has no address, on a Unix socket

MAX_FORWARDED = 4_096  # characters of one such header, all its lines together

# RFC 9110 section 5.6.2. Without `_`: WSGI cannot tell it from `-`, and a client may write either.
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]{1,64}")
# They have a meaning of their own.
_TAKEN: Final = frozenset({"authorization", "dpop", "host", "forwarded"})


class ProxyRules:
    """Which proxies are believed, and in what.

    public_url: where clients reach this API: scheme, host, and the path that proxies take away. It settles the URL of
        every request.
    trusted: the addresses and networks of proxies, and "unix" for peers without an address: on a Unix socket, or where
        a server does not tell. Only by that word is a peer trusted whose address is not known.
    headers: in which of its headers a trusted proxy says what the client asked for: ("Forwarded",), or some of
        X-Forwarded-Proto, X-Forwarded-Host and X-Forwarded-Prefix. Others are not looked at, and where none is named
        a proxy is not asked.
    certificate_header: in which header it says which certificate the client had; see `mtls.CERTIFICATE_HEADERS`.

    Raises SettingsError.
    """

    __slots__ = (
        "_by_unix",
        "_networks",
        "_read",
        "as_reached",
        "base",
        "certificate_header",
        "headers",
        "public_url",
        "trusted",
    )

    def __init__(
        self,
        public_url: str | None = None,
        trusted: Sequence[str] = (),
        headers: Sequence[str] = (),
        certificate_header: str | None = None,
    ) -> None:
        if public_url is not None:
            check_url("public_url", public_url, allow_http=True)
        self.public_url: str | None = public_url
        self.base: str | None = None if public_url is None else public_url.rstrip("/")
        self.trusted: tuple[str, ...] = sequence("trusted_proxies", trusted, str)
        self._by_unix = UNIX in self.trusted
        self._networks = tuple(_network(text) for text in self.trusted if text != UNIX)
        self.headers: tuple[str, ...] = _headers(headers, self.trusted)
        self._read = self._forwarded if self.headers == (FORWARDED,) else self._x_forwarded
        self.as_reached: bool = public_url is None and not self.trusted  # clients use the URL that the server sees
        self.certificate_header: str | None = _certificate_header(certificate_header, self.trusted)

    def trusts(self, client: str | None) -> bool:
        """Whether the peer of a connection is one of the trusted proxies. client: its address, as a server tells it."""
        if not client:
            return self._by_unix
        return bool(self._networks) and self._trusts(_address(client))

    def stated(self, request: Request) -> Stated:
        """What a trusted proxy says of the request; nothing where the peer is none. Raises InvalidForwarding."""
        return self._read(request) if self.trusts(request.client) else NOTHING

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)

    def _forwarded(self, request: Request) -> Stated:
        told: dict[str, str] = {}
        # RFC 7239 section 4: each proxy adds its element at the end. One is believed if the peer that added it is, and
        # so the last one is, and the one before it if that one came from a trusted proxy too.
        for element in reversed(_elements(_joined(request, FORWARDED))):
            # A proxy that does not say what it was asked for has passed it on as it was.
            told |= element.told
            if not self._trusts(element.peer):
                break
        return Stated(_scheme(FORWARDED, told["proto"]) if "proto" in told else "", told.get("host", ""))

    def _x_forwarded(self, request: Request) -> Stated:
        told = {}
        for field in self.headers:
            text = _joined(request, field)
            if text:
                part, read = _X_FORWARDED[field]
                told[part] = read(field, _agreed(field, text))
        return Stated(**told)


def target_of(request: Request, rules: ProxyRules) -> str:
    """The URL that the client used, with the query: what the `htu` of its proof must name (RFC 9449 section 4.3).

    It is made of `public_url`; else of what a trusted proxy says; else it is the one by which the server was reached.
    Raises InvalidForwarding for what a trusted proxy passes on and cannot be understood in one way alone.
    """
    if rules.as_reached and _WHOLE.match(request.url):
        return request.url
    scheme, authority, path = _split(request.url)
    if rules.base is not None:
        return rules.base + path
    stated = rules.stated(request)
    if stated == NOTHING:
        return f"{scheme}://{authority}{path}"
    # RFC 7239 section 5.3: the host is told where a proxy asks for another than it was asked for itself. So where it
    # is not told, the request still names it.
    host = stated.host or _host("Host", _joined(request, "Host"))
    return f"{stated.scheme or scheme}://{host}{stated.prefix}{path}"


def certificate_of(request: Request, rules: ProxyRules) -> str | None:
    """The `x5t#S256` of the client's certificate (RFC 8705 section 3.1), None where the client has none.

    From a trusted proxy it is the one in the configured header, and never the certificate that the proxy itself may
    have. From anybody else it is that of the connection, and headers do not count (RFC 9440 section 4).

    Raises CertificateRejected for what is no certificate, and for more than one.
    """
    if rules.certificate_header is not None and rules.trusts(request.client):
        return forwarded_thumbprint(rules.certificate_header, request.values(rules.certificate_header.lower()))
    return None if request.client_certificate is None else thumbprint(request.client_certificate)


# ------------------------------------------------------------------------------------------------------ settings


def _network(text: str) -> Network:
    try:
        network = ipaddress.ip_network(text)
    except ValueError:
        rule = "must be addresses, networks such as 10.0.0.0/8 (no bits beyond the mask), or unix"
        raise SettingsError("trusted_proxies", rule, text) from None
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None:
        network = ipaddress.IPv4Network((mapped, network.prefixlen - 96))
    if network.prefixlen == 0:
        raise SettingsError("trusted_proxies", "must not be everybody: their headers would be anybody's", text)
    return network


def _headers(names: Sequence[str], trusted: Sequence[str]) -> tuple[str, ...]:
    known = {name.lower(): name for name in (FORWARDED, *_X_FORWARDED)}
    given = tuple(known.get(name.lower(), name) for name in sequence("proxy_headers", names, str))
    # Two ways to say one thing contradict each other some day, and then somebody would have to guess.
    if given != (FORWARDED,) and not set(given) <= _X_FORWARDED.keys():
        raise SettingsError("proxy_headers", f"must be Forwarded, or some of {', '.join(_X_FORWARDED)}", given)
    if given and not trusted:
        raise SettingsError("proxy_headers", "are believed from trusted_proxies alone, and none are named", given)
    return given


def _certificate_header(name: str | None, trusted: Sequence[str]) -> str | None:
    if name is None:
        return None
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name.lower() in _TAKEN:
        raise SettingsError("certificate_header", "must be a header's name, without an underscore", name)
    if not trusted:
        raise SettingsError("certificate_header", "is believed from trusted_proxies alone, and none are named", name)
    return name


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A socket that serves both families tells an IPv4 peer as ::ffff:192.0.2.1.
    return getattr(address, "ipv4_mapped", None) or address


# -------------------------------------------------------------------------------------------------- a URL's parts


@dataclass(frozen=True, slots=True)
class Stated:
    """What a proxy says of the URL that its client used; empty is what it does not say. prefix: no slash at its end."""

    scheme: str = ""
    host: str = ""
    prefix: str = ""


NOTHING: Final = Stated()

_BASE: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+)://([^/?#]*+)")
_WHOLE: Final = re.compile(r"https?://[^/?#]*+/")  # of such a URL the parts make just the same again
# RFC 6455 section 4.1: a WebSocket is opened by an HTTP request, and so that one has an HTTP URL.
_HTTP: Final[Mapping[str, str]] = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def _split(url: str) -> tuple[str, str, str]:
    """Scheme, authority, and all that follows, beginning with a slash."""
    base = _BASE.match(url)
    scheme, authority, rest = ("http", "", url) if base is None else (base[1].lower(), base[2], url[base.end() :])
    return _HTTP.get(scheme, scheme), authority, rest if rest.startswith("/") else f"/{rest}"


# RFC 9110 section 7.2: a host and perhaps a port. No user, and no percent-encoding, which nobody sends in earnest.
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,41})\])(?::([0-9]{1,5}))?")
# The segments of RFC 3986 section 3.3, none of them empty and none encoded: a prefix is a name that somebody chose.
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+;=:@-]++)*+/?")
_DOT_SEGMENT: Final = re.compile(r"/\.{1,2}(?:/|\Z)")


def _scheme(field: str, text: str) -> str:
    try:
        return _HTTP[text.lower()]
    except KeyError:
        raise InvalidForwarding(field, f"the protocol must be http or https, got {shown(text)}") from None


def _host(field: str, text: str) -> str:
    match = _HOST.fullmatch(text)
    if match is None or int(match[2] or 0) > 65_535 or (match[1] and _address(match[1]) is None):
        raise InvalidForwarding(field, f"the host must be a name or an address, and perhaps a port, got {shown(text)}")
    return text


def _prefix(field: str, text: str) -> str:
    if _PREFIX.fullmatch(text) is None or _DOT_SEGMENT.search(text):
        raise InvalidForwarding(field, f"the prefix must be a plain path, got {shown(text)}")
    return text.rstrip("/")


_X_FORWARDED: Final[Mapping[str, tuple[str, Callable[[str, str], str]]]] = {
    "X-Forwarded-Proto": ("scheme", _scheme),
    "X-Forwarded-Host": ("host", _host),
    "X-Forwarded-Prefix": ("prefix", _prefix),
}


def _joined(request: Request, field: str) -> str:
    """The field's value, of however many lines (RFC 9110 section 5.3): WSGI servers join them too."""
    text = ",".join(request.values(field.lower()))
    if len(text) > MAX_FORWARDED:
        raise InvalidForwarding(field, f"{len(text)} characters, at most {MAX_FORWARDED} are taken")
    return text


def _agreed(field: str, text: str) -> str:
    """The one thing that is said, however often: of two, nothing tells which one came from the client."""
    said = {value.strip(" \t") for value in text.split(",")}
    if len(said) > 1:
        raise InvalidForwarding(field, f"{len(said)} values that differ, got {shown(text)}")
    return said.pop()


# ------------------------------------------------------------------------------------------ Forwarded, RFC 7239


@dataclass(frozen=True, slots=True)
class _Element:
    """What one proxy adds. told: of host and proto, those it tells; peer: who asked it, None where it is not told."""

    told: dict[str, str]
    peer: Address | None


# Section 4; token and quoted-string are those of RFC 9110 section 5.6.
_PAIR: Final = re.compile(
    r"([A-Za-z0-9!#$%&'*+.^_`|~-]++)="
    r'(?:([A-Za-z0-9!#$%&\'*+.^_`|~-]++)|"((?:[\t !#-\[\]-~\x80-\xff]++|\\[\t -~\x80-\xff])*+)")'
)
_DELIMITER: Final = re.compile(r"[ \t]*+([;,]|\Z)[ \t]*+")
_ESCAPED: Final = re.compile(r"\\(.)")
# Section 6: who asked a proxy: an address, a name that hides it, or nobody known.
_NODE: Final = re.compile(
    r"(?:([0-9.]{7,15})|\[([0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,41})\]|unknown|_[A-Za-z0-9._-]++)(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]++))?",
    re.IGNORECASE,
)
# Section 5.4: the name of a URI scheme. Only of one that counts more is asked.
_PROTO: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")


def _elements(text: str) -> list[_Element]:
    return [_element(pairs) for pairs in _pairs(text) if pairs]


def _pairs(text: str) -> list[dict[str, str]]:
    """The pairs of each element, by name in lower case. RFC 9110 section 5.6.1.2: empty elements are let pass."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while True:
        pair = _PAIR.match(text, position)
        if pair is not None:
            position, name = pair.end(), pair[1].lower()
            if name in elements[-1]:
                raise InvalidForwarding(FORWARDED, f"{shown(name)} stands twice in one element")
            elements[-1][name] = _ESCAPED.sub(r"\1", pair[3]) if pair[2] is None else pair[2]
        end = _DELIMITER.match(text, position)
        if end is None:
            raise InvalidForwarding(FORWARDED, f"malformed from character {position} on, got {shown(text[position:])}")
        if not end[1]:
            return elements
        position = end.end()
        if end[1] == ",":
            elements.append({})


def _element(pairs: dict[str, str]) -> _Element:
    if "host" in pairs:
        _host(FORWARDED, pairs["host"])
    if _PROTO.fullmatch(pairs.get("proto", "http")) is None:
        raise InvalidForwarding(FORWARDED, f"the protocol must be a scheme's name, got {shown(pairs['proto'])}")
    told = {name: value for name, value in pairs.items() if name in ("host", "proto")}
    _node(pairs.get("by", "unknown"))
    return _Element(told, _node(pairs.get("for", "unknown")))


def _node(text: str) -> Address | None:
    """The address of a node that is told by its address. Raises InvalidForwarding."""
    node = _NODE.fullmatch(text)
    literal = node and (node[1] or node[2])
    address = _address(literal) if literal else None
    if node is None or (literal and address is None):
        raise InvalidForwarding(FORWARDED, f"malformed node, got {shown(text)}")
    return address
