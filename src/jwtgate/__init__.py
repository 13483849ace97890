"""Who is calling this API, and what may they do? Validates OAuth 2.0 access tokens, and answers refusals."""

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
