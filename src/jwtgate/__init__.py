"""Who is calling this API, and what may they do? Validates OAuth 2.0 access tokens, and answers refusals."""

import importlib
import typing

if typing.TYPE_CHECKING:
    from .core.access import AccessToken, Actor, Requirement, all_of, any_of, authenticated, claim, permission, scope
    from .core.advice import Cause
    from .core.decryption_keys import DecryptionKey
    from .core.errors import (
        AuthError,
        InsufficientAuthentication,
        InsufficientScope,
        InvalidProof,
        InvalidRequest,
        InvalidToken,
        JwtGateError,
        KeysUnavailable,
        MissingCredentials,
        NonceRequired,
        SettingsError,
        StoreUnavailable,
        Unavailable,
    )
    from .core.examination import Examination, Finding
    from .core.possession import ProofOfPossession
    from .core.request import Request
    from .core.settings import ApiSettings, Issuer
    from .verifier import AsyncVerifier, Verifier
else:  # not for type checkers, which would take it for a promise of any name at all

    def __getattr__(name: str) -> typing.Any:
        room = _ROOM_OF.get(name)
        if room is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f".{room}", __name__), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "AccessToken",
    "Actor",
    "ApiSettings",
    "AsyncVerifier",
    "AuthError",
    "Cause",
    "DecryptionKey",
    "Examination",
    "Finding",
    "InsufficientAuthentication",
    "InsufficientScope",
    "InvalidProof",
    "InvalidRequest",
    "InvalidToken",
    "Issuer",
    "JwtGateError",
    "KeysUnavailable",
    "MissingCredentials",
    "NonceRequired",
    "ProofOfPossession",
    "Request",
    "Requirement",
    "SettingsError",
    "StoreUnavailable",
    "Unavailable",
    "Verifier",
    "all_of",
    "any_of",
    "authenticated",
    "claim",
    "permission",
    "scope",
]

# Where each of these names lives. A name is imported when it is asked for first: whoever wants but one of them does not
# wait for all rooms of the house.
_ROOMS = {
    "core.access": "AccessToken Actor Requirement all_of any_of authenticated claim permission scope",
    "core.advice": "Cause",
    "core.decryption_keys": "DecryptionKey",
    "core.errors": """
        AuthError InsufficientAuthentication InsufficientScope InvalidProof InvalidRequest InvalidToken JwtGateError
        KeysUnavailable MissingCredentials NonceRequired SettingsError StoreUnavailable Unavailable
    """,
    "core.examination": "Examination Finding",
    "core.possession": "ProofOfPossession",
    "core.request": "Request",
    "core.settings": "ApiSettings Issuer",
    "verifier": "AsyncVerifier Verifier",
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names.split()}
