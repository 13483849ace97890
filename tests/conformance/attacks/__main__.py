"""The corpus in figures, as JSON, for whoever keeps the score: `python -m tests.conformance.attacks`."""

from __future__ import annotations

import json

from tests.conformance.attacks import corpus

print(json.dumps(corpus.counted(), indent=2))
