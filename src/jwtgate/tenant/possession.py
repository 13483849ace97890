"""What an API asks of applications before it binds their tokens to a key or a certificate of theirs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .errors import Rule, TenantError
from .names import check_members

Mechanism = Literal["dpop", "mtls"]
RequiredFor = Literal["all_clients", "public_clients"]

PROOF_ALGORITHMS = ("ES256",)  # of DPoP proofs, as a real tenant announces it
MEMBERS = ("mechanism", "required", "required_for")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofOfPossession:
    """An API's "Token Sender-Constraining".

    mechanism: "dpop" (RFC 9449) or "mtls" (RFC 8705).
    required: no token is issued that is bound to nobody. Without it, one is bound where the application shows a key.
    required_for: of whom that is asked: of every application, or with "dpop" of the public ones alone.

    Raises TenantError for the first rule that is broken.
    """

    mechanism: Mechanism
    required: bool
    required_for: RequiredFor = "all_clients"

    def __post_init__(self) -> None:
        if self.mechanism not in get_args(Mechanism):
            raise TenantError(Rule.POSSESSION_MECHANISM, self.mechanism, get_args(Mechanism))
        if not isinstance(self.required, bool):
            raise TenantError(Rule.POSSESSION_REQUIRED, self.required)
        # A public application has no certificate that anybody knows it by.
        possible = get_args(RequiredFor) if self.mechanism == "dpop" else ("all_clients",)
        if self.required_for not in possible:
            raise TenantError(Rule.POSSESSION_REQUIRED_FOR, self.required_for, possible)

    def is_required_of(self, *, public: bool) -> bool:
        """public: of an application that can keep no secret."""
        return self.required and (public or self.required_for == "all_clients")

    def resource_server(self) -> dict[str, Any]:
        """As the Management API's JSON object."""
        return {"mechanism": self.mechanism, "required": self.required, "required_for": self.required_for}


PossessionSetting = ProofOfPossession | Mapping[str, Any] | Literal[False] | None


def read_possession(given: PossessionSetting) -> ProofOfPossession | None:
    """The setting from the Management API's JSON object, its members and values as there; None or False: none.

    Raises TenantError.
    """
    if given is None or given is False or isinstance(given, ProofOfPossession):
        return given or None
    check_members(given, MEMBERS, needs=("mechanism", "required"))
    return ProofOfPossession(**given)
