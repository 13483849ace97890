"""Tokens as attackers make them: rightly signed over just this text, wherever the signature is not the point."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.doors import ISSUING
from tests.making import Issuing, SigningKey, base64url, compact


def good(algorithm: str = "RS256", **changes: Any) -> str:
    """A good token of the Auth0 profile, some of its claims changed."""
    return ISSUING.token(algorithm=algorithm, **changes)


def parts(algorithm: str = "RS256") -> tuple[str, str, str]:
    """Header, payload and signature of a good token, as they stand in it."""
    head, payload, signature = good(algorithm).split(".")
    return head, payload, signature


def signed(head: str | None = None, payload: str | None = None, algorithm: str = "RS256") -> str:
    """A token of these two segments as they stand; what is not given is good."""
    own_head, own_payload, _ = parts(algorithm)
    text = f"{own_head if head is None else head}.{own_payload if payload is None else payload}"
    octets = text.encode("utf-8", "surrogatepass")
    return f"{text}.{base64url(ISSUING.key(algorithm).sign(algorithm, octets))}"


def with_header(header: object, algorithm: str = "RS256") -> str:
    """A token of any header: octets, text, or what has a JSON form."""
    return compact(header, ISSUING.claims(), ISSUING.key(algorithm), algorithm)


def with_parameters(**changes: Any) -> str:
    """A token with some parameters of its header changed."""
    return ISSUING.token(header=changes)


def with_payload(payload: object, typ: str = "JWT") -> str:
    """A token of any payload: octets, text, or what has a JSON form."""
    return compact(ISSUING.header(typ=typ), payload, ISSUING.key(), "RS256")


def header_text(before: str = "", after: str = "") -> str:
    """A good header's JSON text, with members in front and behind that no JSON writer would make."""
    return _with_members(json.dumps(ISSUING.header()), before, after)


def claims_text(before: str = "", after: str = "", **changes: Any) -> str:
    """The same of good claims."""
    return _with_members(json.dumps(ISSUING.claims(**changes)), before, after)


def _with_members(text: str, before: str, after: str) -> str:
    members = [part for part in (before, text[1:-1], after) if part]
    return "{" + ",".join(members) + "}"


def by_another(key: SigningKey, issuing: Issuing = ISSUING, algorithm: str = "RS256", **header: Any) -> str:
    """A token whose signature is right, but made with a key that is not the issuer's own. header: its parameters."""
    return compact(issuing.header(algorithm, **header), issuing.claims(), key, algorithm)


def resigned(token: str, signature: bytes) -> str:
    """The same token under other octets."""
    return f"{token.rpartition('.')[0]}.{base64url(signature)}"


def of_length(size: int) -> str:
    """A good token of just so many characters."""
    for parameter in ("", "x", "xx", "xxx"):
        header = {"pad": parameter}
        rough = size - len(ISSUING.token(header=header, pad=""))
        for filling in range(rough * 3 // 4 - 4, rough * 3 // 4 + 4):
            token = ISSUING.token(header=header, pad="x" * filling)
            if len(token) == size:
                return token
    raise ValueError(f"no token has {size} characters")


# --- every change of a kind ---------------------------------------------------------------------------------


def each_deleted(token: str) -> Iterator[str]:
    return (token[:place] + token[place + 1 :] for place in range(len(token)))


def each_doubled(token: str) -> Iterator[str]:
    return (token[:place] + token[place] + token[place:] for place in range(len(token)))


def each_swapped(token: str) -> Iterator[str]:
    """Each with its neighbour, where they differ."""
    for place in range(len(token) - 1):
        one, other = token[place : place + 2]
        if one != other:
            yield token[:place] + other + one + token[place + 2 :]


def each_in_other_case(token: str) -> Iterator[str]:
    for place, character in enumerate(token):
        if character.isalpha():
            yield token[:place] + character.swapcase() + token[place + 1 :]


def each_beginning(token: str) -> Iterator[str]:
    return (token[:length] for length in range(len(token)))


def each_end(token: str) -> Iterator[str]:
    return (token[place:] for place in range(1, len(token)))


def each_with_something_between(token: str) -> Iterator[str]:
    for place in range(len(token) + 1):
        for character in "=A. \n\0\u00e9":
            yield token[:place] + character + token[place:]


def segments_rearranged(token: str) -> Iterator[str]:
    """The three parts in every other order, and each in place of each."""
    own = token.split(".")
    for first in own:
        for second in own:
            for third in own:
                if [first, second, third] != own:
                    yield f"{first}.{second}.{third}"
