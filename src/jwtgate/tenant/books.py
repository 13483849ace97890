"""What every decision looks things up in: the registry, the logins under way, and how proofs are checked."""

from __future__ import annotations

from dataclasses import dataclass

from .codes import Codes
from .proofs import Proofs
from .registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """organization_names: organizations may be asked for, and are told, by name."""

    registry: Registry
    codes: Codes
    proofs: Proofs
    organization_names: bool
