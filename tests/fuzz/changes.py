"""Changes that keep an input's shape: whole words, members, lines and numbers are moved, not only bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from random import Random
from typing import Final

Pieces = list[bytes]
Change = Callable[[Pieces, Random], Pieces]

# A string, a word (a number, base64url, a host), white space, or one octet.
_PIECE: Final = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[A-Za-z0-9_+/=.@-]+|[ \t\r\n]+|.', re.DOTALL)
_LINE: Final = b"\n"

# What has fooled somebody's reader of JSON, numbers, base64url, header lines, URLs or dates.
VALUES: Final[tuple[bytes, ...]] = tuple(
    rb"""null true false 0 -0 -1 1 1.5 1e0 1e400 -1e400 1e-400 1E+2 01 +1 .5 0x10 NaN Infinity -Infinity 1_0
    253402300799 253402300800 1799999970 1800000000 1800000030 1800000031 1800003600.5 9007199254740993
    123456789012345678901234567890 "1800003600" "" " " "\u0000" "\ud800" "\ud83d\ude00" "\udc00\ud800" "\u202e" "\\"
    [] {} [[]] [{}] {"":{}} [null] [""] [[[[[[[[]]]]]]]] {"a":{"a":{"a":{"a":{"a":{}}}}}} "none" "None" "nOnE" "HS256"
    "RS256" "PS256" "ES256" "EdDSA" "dir" "JWT" "at+jwt" "application/at+jwt" "AT+JWT" "dpop+jwt" "secevent+jwt"
    "https://issuer.test/" "https://issuer.test" "HTTPS://ISSUER.TEST/" "https://secret.test/" "https://api.test/"
    "https://api.test" ["https://api.test/"] ["https://api.test/",1] "GET" "get" "RSA" "EC" "OKP" "oct" "P-256" "P-521"
    "Ed25519" "sig" "enc" ["verify"] ["sign"] "AQAB" "AA" "AQ" "Aw" "=" "==" "====" Bearer bearer BEARER DPoP Basic
    Bearer=x , ; = : ~ .. ... .... % %2F %2f %00 %0d%0a %25 %7E %C3%A9 + / // /. /.. /../ ? # @ \\ [::1] :443 :80 :0
    :65536 : xn-- -----BEGIN -----END CERTIFICATE----- -----""".split()
)
# Not to be had by splitting at white space: they are some, or are no letters of anybody's.
ODD: Final = tuple(
    text.encode("utf-8", "surrogatepass")
    for text in ("\0", "\x7f", "\r", "\r\n", "\t", " ", "\xa0", "\u2028", "\ufeff", "\xe9", "\ud800", "\U0001f600")
)
LOOKALIKE: Final = tuple(
    text.encode() for text in ("\uff0f", "\u3002", "\u0130", "\u212a", "\u0660", "\u200d", "\u00df", "\u0301")
)
NAMES: Final[tuple[bytes, ...]] = tuple(
    b'"%s"' % name
    for name in b"""alg kid typ cty crit b64 jku x5u x5c x5t jwk enc zip epk apu apv iv tag p2s p2c iss sub aud exp nbf
    iat jti azp client_id scope permissions gty org_id org_name act cnf jkt nonce at_hash c_hash s_hash events htm htu
    ath kty use key_ops n e d p q k crv x y keys issuer jwks_uri __proto__""".split()
)
REPEATS: Final = (2, 2, 2, 2, 3, 3, 3, 5, 5, 33, 65, 101, 257, 1_001, 4_001)
LONGEST: Final = 20_000  # octets: a little more than the longest token


def change(data: bytes, random: Random) -> bytes:
    """The input with one to four changes."""
    pieces: Pieces = _PIECE.findall(data) or [b""]
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        # Cut each time: repeats of repeats would fill the memory.
        pieces = _cut(random.choice(CHANGES)(pieces, random))
    return b"".join(pieces)


def _cut(pieces: Pieces) -> Pieces:
    """As many of them as have LONGEST octets together."""
    kept, room = [], LONGEST
    for piece in pieces[:LONGEST]:
        kept.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return kept or [b""]


def _place(pieces: Pieces, random: Random) -> int:
    return random.randrange(len(pieces))


def _span(pieces: Pieces, random: Random) -> slice:
    start = _place(pieces, random)
    return slice(start, start + random.choice((1, 1, 2, 3, 4, 8, 16)))


def _with(pieces: Pieces, place: slice | int, new: Iterable[bytes]) -> Pieces:
    where = slice(place, place + 1) if isinstance(place, int) else place
    return [*pieces[: where.start], *new, *pieces[where.stop :]]


def _value(random: Random) -> bytes:
    return random.choice(random.choice((VALUES, VALUES, VALUES, ODD, LOOKALIKE)))


def replace(pieces: Pieces, random: Random) -> Pieces:
    return _with(pieces, _place(pieces, random), [_value(random)])


def insert(pieces: Pieces, random: Random) -> Pieces:
    place = _place(pieces, random)
    return _with(pieces, slice(place, place), [_value(random)])


def add_member(pieces: Pieces, random: Random) -> Pieces:
    """After an opening brace or a comma, which is where a member may begin."""
    places = [place + 1 for place, piece in enumerate(pieces) if piece in (b"{", b",")]
    place = random.choice(places or [0])
    return _with(pieces, slice(place, place), [random.choice(NAMES), b":", _value(random), b","])


def rename(pieces: Pieces, random: Random) -> Pieces:
    places = [place for place, piece in enumerate(pieces[:-1]) if pieces[place + 1] == b":"]
    return _with(pieces, random.choice(places or [0]), [random.choice(NAMES)])


def leave_out(pieces: Pieces, random: Random) -> Pieces:
    return _with(pieces, _span(pieces, random), [])


def repeat(pieces: Pieces, random: Random) -> Pieces:
    span = _span(pieces, random)
    repeated = pieces[span]
    return _with(pieces, span, repeated * min(random.choice(REPEATS), LONGEST // (len(repeated) or 1) + 1))


def copy(pieces: Pieces, random: Random) -> Pieces:
    """From one place to another."""
    place = _place(pieces, random)
    return _with(pieces, slice(place, place), pieces[_span(pieces, random)])


def swap(pieces: Pieces, random: Random) -> Pieces:
    one, other = _place(pieces, random), _place(pieces, random)
    return [pieces[{one: other, other: one}.get(place, place)] for place in range(len(pieces))]


def nest(pieces: Pieces, random: Random) -> Pieces:
    place, times = _place(pieces, random), random.choice(REPEATS)
    left, right = random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'{"act":', b"}")))
    return _with(pieces, place, [left * times, pieces[place], right * times])


def other_case(pieces: Pieces, random: Random) -> Pieces:
    place = _place(pieces, random)
    return _with(pieces, place, [pieces[place].swapcase()])


def escape(pieces: Pieces, random: Random) -> Pieces:
    """One octet of a piece as JSON or as a URL may write it."""
    place = _place(pieces, random)
    piece = pieces[place]
    if not piece:
        return pieces
    at = random.randrange(len(piece))
    form = random.choice((b"\\u%04x", b"\\u%04X", b"%%%02x", b"%%%02X", b"%%25%02X"))
    return _with(pieces, place, [piece[:at] + form % piece[at] + piece[at + 1 :]])


def one_octet(pieces: Pieces, random: Random) -> Pieces:
    """Put in, left out or changed in one bit."""
    place = _place(pieces, random)
    piece = pieces[place]
    at = random.randrange(len(piece) + 1)
    octet = bytes([random.randrange(256)])
    flipped = bytes([piece[at] ^ 1 << random.randrange(8)]) if at < len(piece) else b""
    return _with(pieces, place, [piece[:at] + random.choice((octet, b"", flipped)) + piece[at + 1 :]])


def other_lines(pieces: Pieces, random: Random) -> Pieces:
    lines = b"".join(pieces).split(_LINE)
    one, other = random.choice(lines), random.randrange(len(lines) + 1)
    return [_LINE.join([*lines[:other], one, *lines[other + random.randrange(2) :]])]


CHANGES: Final[tuple[Change, ...]] = (
    replace,
    insert,
    add_member,
    rename,
    leave_out,
    repeat,
    copy,
    swap,
    nest,
    other_case,
    escape,
    one_octet,
    other_lines,
)
