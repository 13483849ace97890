"""What an API asks of a token's sender: to prove the key or the certificate that the token is bound to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, cast

from .errors import SettingsError

Mechanism = Literal["dpop", "mtls"]
MECHANISMS: Final = ("dpop", "mtls")

# By mechanism, the member of `cnf` that it proves: RFC 9449 section 6.1, RFC 8705 section 3.1.
CONFIRMS: Final[Mapping[str, str]] = {"dpop": "jkt", "mtls": "x5t#S256"}


@dataclass(frozen=True, slots=True)
class ProofOfPossession:
    """The API's "Token Sender-Constraining".

    mechanisms: "dpop" (RFC 9449), "mtls" (RFC 8705), or both; a token that is bound in another way is refused.
    required: refuse tokens that are bound in no way.

    Raises SettingsError.
    """

    mechanisms: tuple[Mechanism, ...] = ()
    required: bool = False

    def __post_init__(self) -> None:
        given: Any = self.mechanisms
        named = (given,) if isinstance(given, str) else given
        known = isinstance(named, Sequence) and all(name in MECHANISMS for name in named)
        if not known or len(set(named)) != len(named):
            raise SettingsError("proof_of_possession", "must name 'dpop', 'mtls' or both", given)
        if not isinstance(self.required, bool) or (self.required and not named):
            raise SettingsError("proof_of_possession", "required must be a bool, of some mechanism", self.required)
        object.__setattr__(self, "mechanisms", tuple(named))

    @property
    def confirmations(self) -> frozenset[str]:
        """The members of `cnf` that can be checked here."""
        return frozenset(CONFIRMS[name] for name in self.mechanisms)


NONE: Final = ProofOfPossession()


class Sender(NamedTuple):
    """What the sender of a request has proved.

    scheme: the authentication scheme of the request; "Bearer" where there was none.
    jkt: the RFC 7638 thumbprint of the key that signed the DPoP proof; certificate_thumbprint: `x5t#S256` of the client
    certificate; dpop_nonce: what to tell the sender as `DPoP-Nonce`. None each where there is none.
    """

    scheme: str = "Bearer"
    jkt: str | None = None
    certificate_thumbprint: str | None = None
    dpop_nonce: str | None = None


ANYBODY: Final = Sender()


def read_possession(given: object) -> ProofOfPossession:
    """A setting as people write it: None, "dpop", ("dpop", "mtls"), or the Management API's object.

    Raises SettingsError.
    """
    if given is None:
        return NONE
    if isinstance(given, ProofOfPossession):
        return given
    if isinstance(given, Mapping):
        return _of_object(given)
    return ProofOfPossession(cast("tuple[Mechanism, ...]", given))


def _of_object(given: Mapping[str, Any]) -> ProofOfPossession:
    unknown = sorted(str(name) for name in given.keys() - {"mechanism", "required", "required_for"})
    if unknown:
        raise SettingsError("proof_of_possession", "may hold mechanism, required and required_for", unknown[0])
    audience = given.get("required_for", "all_clients")
    if audience not in ("all_clients", "public_clients"):
        raise SettingsError("proof_of_possession", "required_for must be all_clients or public_clients", audience)
    required = given.get("required", False)
    if not isinstance(required, bool):
        raise SettingsError("proof_of_possession", "required must be true or false", required)
    # Of a token nobody can tell whether its client is a public one: there the issuer alone insists.
    mechanism = cast("tuple[Mechanism, ...]", given.get("mechanism"))
    return ProofOfPossession(mechanism, required and audience == "all_clients")
