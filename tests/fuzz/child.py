"""The process in which atheris runs one target: `python -m tests.fuzz.child TARGET ...`, with libFuzzer's own flags."""

from __future__ import annotations

import importlib
import sys
from random import Random

import atheris

from tests.fuzz.changes import change


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """Half of the changes keep the shape, half are libFuzzer's own, which know what the code compares with."""
    random = Random(seed)
    if random.random() < 0.5:
        return bytes(atheris.Mutate(data, most))
    return change(data, random)[:most]


def main() -> None:
    with atheris.instrument_imports(include=["jwtgate"], enable_loader_override=False):
        targets = importlib.import_module("tests.fuzz.targets")
    name, *flags = sys.argv[1:]
    atheris.Setup([sys.argv[0], *flags], targets.TARGETS[name], custom_mutator=mutated)
    atheris.Fuzz()


main()
