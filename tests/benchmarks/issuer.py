"""An issuer in a process of its own, which takes its time and counts what it is asked.

Its standard input is one line of JSON, the key set; its standard output one line, the port. It ends with its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.serving import ROOT, environment

DISCOVERY: Final = "/.well-known/openid-configuration"
JWKS: Final = "/.well-known/jwks.json"
ASKED: Final = "/asked"
DELAY: Final = 0.1  # seconds until an answer, as over a continent


@dataclass(frozen=True, slots=True)
class Remote:
    """An issuer that is running."""

    url: str

    def asked(self) -> Counter[str]:
        """How often for what, by path."""
        with urllib.request.urlopen(self.url.removesuffix("/") + ASKED) as answer:
            return Counter(json.load(answer))


@contextmanager
def running(jwks: dict[str, Any]) -> Iterator[Remote]:
    """With these keys."""
    command = [sys.executable, "-m", __name__]
    child = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with child:
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("the issuer has no pipes")
        child.stdin.write(json.dumps(jwks) + "\n")
        child.stdin.flush()
        yield Remote(f"http://127.0.0.1:{int(child.stdout.readline())}/")
        child.stdin.close()


def main() -> None:
    jwks = json.loads(sys.stdin.readline())
    asked: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == ASKED:
                answer: Any = asked
            else:
                asked[self.path] += 1
                time.sleep(DELAY)
                answer = jwks if self.path == JWKS else {"issuer": url, "jwks_uri": url.removesuffix("/") + JWKS}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
