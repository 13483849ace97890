"""What an import brings along, what only a verifier does, and that a request waits for none of it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jwtgate.core.jwk import thumbprint
from jwtgate.testing import Holder
from tests.making import API, ISSUER, SECRET, Issuing
from tests.sealing import pem, private_jwk, seal

COSTLY = {"cryptography", "jwt", "httpx", "redis", "sqlite3"}  # each takes as long as all of jwtgate, or longer
URL = f"{API}messages"


def run(code: str, given: object = None) -> Any:
    """What a fresh interpreter prints as JSON. The code finds what it is given under that name."""
    program = f"import json, sys\ngiven = json.loads(sys.stdin.read())\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def loaded(statement: str) -> frozenset[str]:
    return frozenset(run(f"{statement}\nprint(json.dumps(sorted(sys.modules)))"))


def imported_by(statement: str) -> frozenset[str]:
    """Beside what is there anyway; where coverage is counted, that is much."""
    return loaded(statement) - loaded("pass")


# --- imports ---------------------------------------------------------------------------------------------------------


def test_the_face_alone_brings_nothing_along() -> None:
    found = imported_by("import jwtgate")
    assert not found & {"asyncio", "dataclasses", "logging", "ssl", "urllib.request"}
    assert {name for name in found if name.startswith("jwtgate")} == {"jwtgate"}


def test_the_class_of_an_error_brings_no_verifier_along() -> None:
    found = {name for name in imported_by("from jwtgate import AuthError") if name.startswith("jwtgate.")}
    assert found == {"jwtgate.core", "jwtgate.core.errors"}


@pytest.mark.parametrize(
    "statement",
    [
        "from jwtgate import *",
        "import jwtgate.asgi",
        "import jwtgate.wsgi",
        "import jwtgate.starlette",
        "import jwtgate.flask",
        "import jwtgate.stores",
    ],
)
def test_no_import_brings_what_only_a_verification_needs(statement: str) -> None:
    assert not imported_by(statement) & COSTLY


def test_fastapi_brings_none_of_it_but_its_own() -> None:
    own = imported_by("import fastapi, fastapi.openapi.models")
    assert not (imported_by("import jwtgate.fastapi") - own) & COSTLY


@pytest.mark.parametrize("post", ["asgi", "wsgi", "starlette", "fastapi", "flask"])
def test_no_border_post_brings_what_only_explains(post: str) -> None:
    assert not imported_by(f"import jwtgate.{post}") & {"jwtgate.core.examination", "jwtgate.core.advice"}


# --- requests --------------------------------------------------------------------------------------------------------


BEFORE = """
from jwtgate import ApiSettings, AsyncVerifier, Issuer, Request, Verifier
settings = ApiSettings(identifier=given["api"], issuers=[Issuer(given["issuer"], **given.get("keys", {}))],
                       **given["settings"])
"""
# Once with either: what one has imported, the other does not have to.
ASKED = {
    "Verifier": """
verifier = Verifier(settings)
before = set(sys.modules)
token = verifier.verify_request(Request("GET", given["url"], list(given["headers"].items())))
""",
    "AsyncVerifier": """
import asyncio
verifier = AsyncVerifier(settings)
async def ask():
    global before, token
    before = set(sys.modules)
    token = await verifier.verify_request(Request("GET", given["url"], list(given["headers"].items())))
asyncio.run(ask())
""",
}
AFTER = "print(json.dumps([token.subject, sorted(set(sys.modules) - before)]))"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def cases(folder: Path) -> dict[str, dict[str, Any]]:
    """By name: the settings of an API, its issuer's keys, and the headers of a good request."""
    issuing, holder, now = Issuing(), Holder(), time.time()
    claims = {"iat": int(now) - 60, "exp": int(now) + 3_600}
    keys = {"jwks": issuing.jwks()}
    (folder / "keys.json").write_text(json.dumps(keys["jwks"]))
    (folder / "key.pem").write_text(pem())
    token = issuing.token(**claims)
    proving = {"proof_of_possession": "dpop"}
    secret = {"signing_algorithms": ["HS256"], "signing_secret": SECRET.decode()}
    bound = {name: issuing.token(algorithm=name, **claims, cnf={"jkt": holder.jkt}) for name in ("RS256", "HS256")}
    return {
        "keys that are given": {"keys": keys, "settings": {}, "headers": bearer(token)},
        "a file of keys": {
            "keys": {"jwks_file": str(folder / "keys.json")},
            "settings": {},
            "headers": bearer(token),
        },
        "a secret": {"settings": secret, "headers": bearer(issuing.token(algorithm="HS256", **claims))},
        "a proof": {"keys": keys, "settings": proving, "headers": holder.headers("GET", URL, bound["RS256"])},
        "a proof beside a secret": {
            "settings": {**secret, **proving},
            "headers": holder.headers("GET", URL, bound["HS256"]),
        },
        "an encrypted token": {
            "keys": keys,
            "settings": {"decryption_keys": pem()},
            "headers": bearer(seal(token)),
        },
        "an encrypted token, its key a JWK": {
            "keys": keys,
            "settings": {"decryption_keys": private_jwk()},
            "headers": bearer(seal(token)),
        },
        "an encrypted token, its key kept elsewhere": {
            "settings": {**secret, "decryption_keys": "ASK"},
            "headers": bearer(seal(issuing.token(algorithm="HS256", **claims))),
        },
    }


# JSON holds neither bytes nor functions.
MADE = """
if "signing_secret" in given["settings"]:
    given["settings"]["signing_secret"] = given["settings"]["signing_secret"].encode("latin-1")
if given["settings"].get("decryption_keys") == "ASK":
    given["settings"]["decryption_keys"] = lambda encrypted_key, algorithm: bytes(range(32))
"""
NAMES = [
    "keys that are given",
    "a file of keys",
    "a secret",
    "a proof",
    "a proof beside a secret",
    "an encrypted token",
    "an encrypted token, its key a JWK",
    "an encrypted token, its key kept elsewhere",
]


def test_every_case_is_asked(tmp_path: Path) -> None:
    assert list(cases(tmp_path)) == NAMES


@pytest.mark.parametrize("driver", ASKED)
@pytest.mark.parametrize("name", NAMES)
def test_a_request_imports_nothing(name: str, driver: str, tmp_path: Path) -> None:
    """An import on an event loop would hold up all that runs there."""
    given = {"api": API, "issuer": ISSUER, "url": URL, **cases(tmp_path)[name]}
    subject, imported = run(MADE + BEFORE + ASKED[driver] + AFTER, given)
    assert (subject, imported) == (Issuing().claims()["sub"], [])


@pytest.mark.parametrize("driver", ["Verifier", "AsyncVerifier"])
def test_a_verifier_is_ready_for_keys_before_it_has_any(driver: str) -> None:
    """Those that are fetched are read while requests wait, and on an event loop."""
    code = (
        f"from jwtgate import ApiSettings, {driver}\n{driver}(ApiSettings(identifier='a', domain='a.test.example'))\n"
    )
    assert imported_by(code) >= {"cryptography.x509", "jwtgate.core.pem", "jwtgate.core.signatures"}


def test_threads_may_be_the_first_to_need_it_all_at_once() -> None:
    code = """
import threading
from jwtgate.core.jwk import import_cryptography, read_jwk
together, found = threading.Barrier(8), []
def read():
    together.wait()
    import_cryptography()
    found.append(read_jwk(given).for_algorithm("RS256").thumbprint)
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(found))
"""
    jwk = Issuing().key().jwk()
    assert run(code, jwk) == [thumbprint(jwk)] * 8
