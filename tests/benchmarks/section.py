"""One part of the benchmarks, in a process of its own: its arguments are the part's name and scale, its output JSON."""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings
from typing import Any, Final

SECTIONS: Final = ("verifying", "serving", "starting", "importing")

# A smoke test: it shows that everything runs, and nothing else.
QUICK: Final[dict[str, dict[str, Any]]] = {
    "verifying": {"rounds": 3, "size": 4, "others": False},
    "serving": {"rounds": 1, "size": 32, "others": False, "frameworks": ["asgi", "flask"]},
    "starting": {"trials": 1, "requests": 60},
    "importing": {"rounds": 1, "tokens": 40},
}


def main() -> None:
    name, scale = sys.argv[1], json.loads(sys.argv[2])
    warnings.simplefilter("ignore")  # the peers' own
    logging.disable()  # what a deployment writes to its log is not measured
    section: Any = importlib.import_module(f"tests.benchmarks.{name}")
    print(json.dumps(section.run(section.Scale(**scale)).to_json()))


if __name__ == "__main__":
    main()
