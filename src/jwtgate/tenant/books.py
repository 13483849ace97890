"""What every decision looks things up in: the registry, and the logins under way."""

from __future__ import annotations

from dataclasses import dataclass

from .codes import Codes
from .registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """organization_names: organizations may be asked for, and are told, by name."""

    registry: Registry
    codes: Codes
    organization_names: bool
