"""Settings from environment variables: which there are, and how the text of each is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from .errors import SettingsError
from .possession import Mechanism, ProofOfPossession
from .values import secret_octets

if TYPE_CHECKING:
    from pathlib import Path


def _flag(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError("must be true or false")
    return known[text.lower()]


def _exact(text: str) -> str:
    # It is compared to the letter, and a line break from a file of secrets would refuse every token, unseen in the log.
    if text != text.strip():
        raise ValueError("begins or ends with white space")
    return text


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _profile(text: str) -> str:
    # The Dashboard writes "Auth0" and "RFC 9068".
    return text.lower().replace(" ", "")


def _files(text: str) -> tuple[Path, ...]:
    from pathlib import Path

    return tuple(Path(word) for word in text.split(",") if word)


def _possession(text: str) -> ProofOfPossession:
    # "dpop", "mtls", both, and "required" beside them.
    words = _words(text)
    mechanisms = tuple(word for word in words if word != "required")
    return ProofOfPossession(cast("tuple[Mechanism, ...]", mechanisms), "required" in words)


# variable → (the setting, how its text is read). Adding one is one line here and one in docs/reference/settings.md.
ENVIRONMENT: Final[dict[str, tuple[str, Any]]] = {
    "AUTH0_DOMAIN": ("domain", _words),
    "AUTH0_AUDIENCE": ("identifier", _exact),
    "API_IDENTIFIER": ("identifier", _exact),
    "JWTGATE_ISSUERS": ("issuers", _words),
    "JWTGATE_SIGNING_ALGORITHMS": ("signing_algorithms", _words),
    "JWTGATE_SIGNING_SECRET": ("signing_secret", secret_octets),
    "JWTGATE_SHORT_SECRET": ("short_secret", _flag),
    "JWTGATE_PROFILE": ("profile", _profile),
    "JWTGATE_PERMISSIONS_IN_TOKEN": ("permissions_in_token", _flag),
    "JWTGATE_PERMISSIONS": ("permissions", _words),
    "JWTGATE_TOKEN_LIFETIME": ("token_lifetime", int),
    "JWTGATE_LEEWAY": ("leeway", float),
    "JWTGATE_MAX_TOKEN_BYTES": ("max_token_bytes", int),
    "JWTGATE_REALM": ("realm", str),
    "JWTGATE_PROOF_OF_POSSESSION": ("proof_of_possession", _possession),
    "JWTGATE_DPOP_ALGORITHMS": ("dpop_algorithms", _words),
    "JWTGATE_DPOP_WINDOW": ("dpop_window", int),
    "JWTGATE_DPOP_NONCE_KEY": ("dpop_nonce_key", secret_octets),
    "JWTGATE_DPOP_NONCE_LIFETIME": ("dpop_nonce_lifetime", int),
    "JWTGATE_STORE": ("store", str),
    "JWTGATE_REVOCATION_DELAY": ("revocation_delay", float),
    "JWTGATE_REVOCATION_OUTAGE": ("revocation_outage", str),
    "JWTGATE_PUBLIC_URL": ("public_url", str),
    "JWTGATE_TRUSTED_PROXIES": ("trusted_proxies", _words),
    "JWTGATE_PROXY_HEADERS": ("proxy_headers", _words),
    "JWTGATE_CERTIFICATE_HEADER": ("certificate_header", str),
    "JWTGATE_DECRYPTION_KEY_FILES": ("decryption_keys", _files),
    "JWTGATE_ENCRYPTION_ALGORITHMS": ("encryption_algorithms", _words),
    "JWTGATE_TOKEN_MEMORY_BYTES": ("token_memory_bytes", int),
    "JWTGATE_CONTENT_ENCRYPTION_ALGORITHMS": ("content_encryption_algorithms", _words),
    "JWTGATE_RESOURCE_METADATA_URL": ("resource_metadata_url", str),
}


def read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(environ, Mapping) or not all(isinstance(text, str) for item in environ.items() for text in item):
        raise SettingsError("environ", f"must map names to texts, got {type(environ).__name__}")
    _check_spelling(environ)
    found: dict[str, Any] = {}
    for variable, (setting, read) in ENVIRONMENT.items():
        text = environ.get(variable, "")
        if not text:
            continue
        try:
            value = read(text)
        except SettingsError as error:
            raise SettingsError(variable, error.rule) from None
        except ValueError as error:
            reason = str(error).encode("ascii", "backslashreplace").decode()  # Python's own quote the text
            raise SettingsError(variable, f"cannot be read: {reason}", text) from None
        if found.get(setting, value) != value:
            raise SettingsError(variable, f"differs from another variable for {setting!r}", text)
        found[setting] = value
    if "identifier" not in found:
        raise SettingsError("AUTH0_AUDIENCE", "set it (or API_IDENTIFIER) to the API's identifier")
    if not {"domain", "issuers"} & found.keys():
        raise SettingsError("AUTH0_DOMAIN", "set it to the tenant's domain (or JWTGATE_ISSUERS to issuer URLs)")
    return found


def variable_for(setting: str, environ: Mapping[str, str]) -> str:
    """Where a setting came from: its variable, or the setting itself where none is set."""
    wanted = "issuers" if setting == "issuer" else setting
    return next((name for name, (of, _) in ENVIRONMENT.items() if of == wanted and environ.get(name)), setting)


def _check_spelling(environ: Mapping[str, str]) -> None:
    """A misspelt setting must not be ignored; variables of others (Kubernetes makes JWTGATE_… ones) may be there."""
    for variable in environ:
        if variable.startswith("JWTGATE_") and variable not in ENVIRONMENT:
            import difflib

            meant = difflib.get_close_matches(variable, ENVIRONMENT, n=1, cutoff=0.85)
            if meant:
                raise SettingsError(variable, f"is not a setting; {meant[0]} is")
