"""Tokens without an audience, which only this tenant can read: a compact JWE with a key that nobody else has."""

from __future__ import annotations

import base64
import json
import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jwtgate.core.compact import encode_base64url

NONCE = 12  # bytes (RFC 7518 section 5.3)
TAG = 16  # bytes


class OpaqueTokens:
    """As a real tenant makes them: five segments, the second one empty, `dir` and `A256GCM`."""

    def __init__(self) -> None:
        self._key = AESGCM(AESGCM.generate_key(bit_length=256))

    def seal(self, claims: dict[str, Any], issuer: str) -> str:
        header = encode_base64url(_json({"alg": "dir", "enc": "A256GCM", "iss": issuer}))
        nonce = secrets.token_bytes(NONCE)
        # RFC 7516 section 5.1: the header, as it is sent, is authenticated too.
        sealed = self._key.encrypt(nonce, _json(claims), header.encode())
        content = (nonce, sealed[:-TAG], sealed[-TAG:])
        return ".".join([header, "", *map(encode_base64url, content)])

    def open(self, token: str) -> dict[str, Any] | None:
        """The claims; None for what this tenant did not seal."""
        try:
            header, _, *content = token.split(".")
            nonce, sealed, tag = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in content)
            opened: dict[str, Any] = json.loads(self._key.decrypt(nonce, sealed + tag, header.encode()))
        except (ValueError, InvalidTag):
            return None
        return opened


def _json(members: dict[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
