"""All attacks of all groups, and what is known of their list."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from tests.conformance.attacks import (
    algorithm,
    authorization,
    certificates,
    claims,
    encryption,
    header,
    key_selection,
    key_server,
    profiles,
    proofs,
    request,
    state,
    structure,
)
from tests.conformance.attacks.cases import BOTH, Attack, Mistake, RequestAttack, Scenario, Sweep, TokenAttack
from tests.conformance.attacks.stage import DOORS

A = TypeVar("A")

GROUPS: Final[Mapping[str, ModuleType]] = {
    "S": structure,
    "H": header,
    "A": algorithm,
    "K": key_selection,
    "C": claims,
    "P": profiles,
    "J": key_server,
    "R": request,
    "Z": authorization,
    "X": state,
    "D": proofs,
    "M": certificates,
    "E": encryption,
}
CASES: Final[list[Attack]] = [attack for group in GROUPS.values() for attack in group.CASES]
# Attacks on what is not there yet, and what they wait for.
WAITING: Final[Mapping[str, str]] = {"Z06": "protected-resource metadata (RFC 9728) is not served yet"}


def of(kind: type[A]) -> list[A]:
    return [attack for attack in CASES if isinstance(attack, kind)]


def listed() -> dict[str, str] | None:
    """By id, what an attack of the published list must be answered with; None where that list is not to be had.

    It lies beside the folder of vectors.
    """
    folder = os.environ.get("JWTGATE_VECTORS", "")
    path = Path(folder).parent / "attacks.tsv"
    if not folder or not path.is_file():
        return None
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return {row[0]: row[3] for row in rows}


def letters(answer: str) -> set[str]:
    """The letters in an answer's column, which may hold words besides."""
    return set(re.findall(r"\b(CFG|OK|[TQNSPUAVG])\b", answer.replace("or 403", "or S")))


def letters_of(attack: Attack) -> set[str]:
    """Those that a case is answered in."""
    match attack:
        case TokenAttack() | RequestAttack():
            return {attack.wanted.letter}
        case Mistake():
            return {"CFG"}
        case Scenario():
            return set(attack.letters.split())
        case Sweep():
            return {"T"}
        case _:
            return set()


def counted() -> dict[str, object]:
    """The corpus in figures.

    ids: of the published list that have a case; cases: all; executions: each case through each driver or door that it
    goes through, in one mode; waiting: what has no case yet, and why.
    """
    groups = {
        letter: {
            "ids": len({attack.id.removesuffix("+") for attack in group.CASES}),
            "cases": len(group.CASES),
        }
        for letter, group in GROUPS.items()
    }
    return {
        "ids": len({attack.id for attack in CASES if not attack.id.endswith("+")}),
        "cases": len(CASES),
        "executions": sum(map(_executions, CASES)),
        "doors": list(DOORS),
        "groups": groups,
        "waiting": dict(WAITING),
    }


def _executions(attack: Attack) -> int:
    match attack:
        case TokenAttack() | Sweep():
            return len(BOTH)
        case RequestAttack():
            return len([door for door in DOORS if door not in attack.not_at])
        case Scenario():
            return len(attack.drives)
        case _:
            return 1
