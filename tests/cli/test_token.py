"""`jwtgate token`: against a tenant and against issuers that answer strangely; what it shows and what it never does."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jwt
import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from jwtgate.tenant import Application, Tenant
from tests.cli.command import COMMAND, TIMEOUT, environment, here, shell

IDENTIFIER = "https://api.example.com/"
SECRET = "a secret with 'quotes' & spaces %"


@pytest.fixture(scope="module")
def tenant() -> Iterator[Tenant]:
    tenant = Tenant()
    tenant.register_api(IDENTIFIER, permissions=["read:messages", "write:messages"])
    tenant.register_api("https://other.example.com/")
    with tenant.serve():
        yield tenant


@pytest.fixture(scope="module")
def backend(tenant: Tenant) -> Application:
    application = tenant.create_application("Backend", client_id="back end".replace(" ", "-"), client_secret=SECRET)
    tenant.authorize(application, IDENTIFIER, ["read:messages"])
    return application


@pytest.fixture(scope="module")
def basic(tenant: Tenant) -> Application:
    application = tenant.create_application(
        "Basic", client_id="basic", client_secret=SECRET, token_endpoint_auth="client_secret_basic"
    )
    tenant.authorize(application, IDENTIFIER)
    return application


Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def ask(tenant: Tenant, backend: Application) -> Ask:
    """The command with all that it needs, and what is given on top; a later option goes before an earlier one."""

    def ask(*more: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        named = ["--issuer", tenant.issuer, "--audience", IDENTIFIER, "--client-id", backend.client_id]
        return here("token", *named, *more, env={"CLIENT_SECRET": SECRET, **(env or {})})

    return ask


# What it shows


def test_raw_is_the_token_and_nothing_else(ask: Ask) -> None:
    done = ask("--raw")
    assert (done.returncode, done.stderr) == (0, "")
    assert jwt.decode(done.stdout.removesuffix("\n"), options={"verify_signature": False})["scope"] == "read:messages"


def answer_in(output: str) -> dict[str, Any]:
    return json.loads(re.search(r"^\{.*?^\}", output, re.MULTILINE | re.DOTALL)[0])  # type: ignore[index]


def test_the_answer_is_shown_with_the_beginning_of_its_token(ask: Ask) -> None:
    done = ask()
    answer = answer_in(done.stdout)
    assert list(answer) == ["access_token", "scope", "expires_in", "token_type"]
    assert (answer["scope"], answer["expires_in"], answer["token_type"]) == ("read:messages", 86400, "Bearer")
    assert re.fullmatch(r"eyJ[\w-]{13}\.\.\. \(\d{3} characters\)", answer["access_token"])
    assert (done.returncode, done.stderr) == (0, "")


def test_full_shows_the_token_and_a_call_that_needs_no_more(ask: Ask) -> None:
    done = ask("--full", "--api-url", "http://localhost:8000/api/private?x=1&y=2")
    token = answer_in(done.stdout)["access_token"]
    assert len(token.split(".")) == 3
    assert shlex.split(done.stdout.splitlines()[-1]) == [
        "curl",
        "http://localhost:8000/api/private?x=1&y=2",
        "-H",
        f"Authorization: Bearer {token}",
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("way", ["body", "basic"])
def test_its_curl_line_and_its_own_line_do_the_same_in_a_shell(
    ask: Ask, tenant: Tenant, basic: Application, way: str
) -> None:
    more = ["--client-id", basic.client_id, "--basic"] if way == "basic" else ["--scope", "read:messages"]
    done = ask(*more)
    assert done.returncode == 0
    curl = next(line for line in done.stdout.splitlines() if line.startswith("curl -X POST"))
    again = next(line for line in done.stdout.splitlines() if line.startswith("TOKEN="))
    answer, token = shell(f'{curl}\n{again}\necho "$TOKEN"', CLIENT_SECRET=SECRET)
    by_curl, by_us = json.loads(answer)["access_token"], token
    claims = [jwt.decode(each, options={"verify_signature": False}) for each in (by_curl, by_us)]
    assert claims[0]["azp"] == claims[1]["azp"] == (basic.client_id if way == "basic" else "back-end")


def test_the_secret_is_shown_nowhere(ask: Ask) -> None:
    for more in ([], ["--full"], ["--raw"], ["--scope", "x"], ["--basic"]):
        done = ask(*more)
        assert "quotes" not in done.stdout + done.stderr


# Where the secret comes from


def test_the_variable_that_holds_the_secret_stands_for_it(ask: Ask) -> None:
    done = ask(env={"CLIENT_SECRET": "", "AUTH0_CLIENT_SECRET": SECRET})
    assert done.returncode == 0
    assert '"$AUTH0_CLIENT_SECRET"' in done.stdout


def with_input(tenant: Tenant, backend: Application, text: str) -> subprocess.CompletedProcess[str]:
    named = ["--issuer", tenant.issuer, "--audience", IDENTIFIER, "--client-id", backend.client_id]
    return subprocess.run(
        [*COMMAND, "token", *named, "--secret-stdin", "--raw"],
        env=environment(CLIENT_SECRET="another"),
        input=text,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "status"), [(f"{SECRET}\n", 0), (SECRET, 0), (f"{SECRET}\r\nmore", 0), ("", 2), ("\n", 2)]
)
def test_it_can_come_through_a_pipe(tenant: Tenant, backend: Application, text: str, status: int) -> None:
    assert with_input(tenant, backend, text).returncode == status


def test_on_a_terminal_it_is_asked_for_and_not_echoed(tenant: Tenant, backend: Application) -> None:
    named = ["--issuer", tenant.issuer, "--audience", IDENTIFIER, "--client-id", backend.client_id]
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "token", *named, "--raw"],
        env=environment(CLIENT_SECRET="", AUTH0_CLIENT_SECRET=""),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        while termios.tcgetattr(ours)[3] & termios.ECHO:  # what comes sooner is thrown away
            time.sleep(0.01)
            assert process.poll() is None
        os.write(ours, f"{SECRET}\n".encode())
        output, _ = process.communicate(timeout=TIMEOUT)
        shown = os.read(ours, 1024)
    os.close(ours)
    assert process.returncode == 0
    assert output.startswith("eyJ")
    assert b"Client secret" in shown
    assert b"quotes" not in shown


def test_it_is_no_option_since_every_user_of_the_machine_could_read_it(ask: Ask) -> None:
    assert ask("--client-secret", "x").returncode == 2


# What must be given


def nothing(**variables: str) -> dict[str, str]:
    names = "AUTH0_DOMAIN AUTH0_AUDIENCE API_IDENTIFIER CLIENT_ID AUTH0_CLIENT_ID CLIENT_SECRET AUTH0_CLIENT_SECRET"
    return {**dict.fromkeys(names.split(), ""), **variables}


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (["--client-id", "x"], {"CLIENT_SECRET": "x"}),
        (["--issuer", "https://tenant.example.test/"], {"CLIENT_SECRET": "x"}),
        (["--issuer", "https://tenant.example.test/", "--client-id", "x"], {}),
        (["--issuer", "http://tenant.example.test/", "--client-id", "x"], {"CLIENT_SECRET": "x"}),
        (["--domain", "a/b", "--client-id", "x"], {"CLIENT_SECRET": "x"}),
    ],
)
def test_what_is_missing_or_cannot_be_is_one_line(arguments: list[str], variables: dict[str, str]) -> None:
    done = here("token", *arguments, env=nothing(**variables))
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("jwtgate: ")


def test_everything_can_come_from_the_environment(tenant: Tenant, backend: Application) -> None:
    done = here(
        "token",
        "--raw",
        env=nothing(
            AUTH0_DOMAIN=tenant.issuer,
            API_IDENTIFIER=IDENTIFIER,
            AUTH0_CLIENT_ID=backend.client_id,
            AUTH0_CLIENT_SECRET=SECRET,
        ),
    )
    assert done.returncode == 0


# When the issuer says no


@pytest.mark.parametrize(
    ("more", "refusal", "advice"),
    [
        (["--scope", "write:messages"], "403 access_denied", "grant it, or ask for less"),
        (["--audience", IDENTIFIER[:-1]], "403 access_denied", "slash"),
        (["--audience", "https://other.example.com/"], "403 access_denied", "not authorised"),
        (["--audience", ""], "403 access_denied", "--audience"),
        (["--client-id", "nobody"], "401 access_denied", "client id or the secret"),
        (["--basic"], "401 access_denied", "--basic"),
        (["--organization", "acme"], "400 invalid_request", "--organization"),
    ],
)
def test_a_refusal_is_told_with_what_to_do(ask: Ask, more: list[str], refusal: str, advice: str) -> None:
    done = ask(*more)
    told, what_to_do = done.stdout.splitlines()[-2:]
    assert done.returncode == 1
    assert told.startswith(f"Refused: {refusal}: ")
    assert advice in what_to_do
    raw = ask(*more, "--raw")
    assert (raw.returncode, raw.stdout) == (1, "")
    assert raw.stderr.splitlines() == [told.replace("Refused", "jwtgate"), what_to_do]


# Issuers that answer strangely


class Issuer:
    """Answers what it is told: path to status and content."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.requests: list[Request] = []
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.port}/"

    def _answer(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        _ = request.form
        self.requests.append(request)
        status, content = self.answers.get(request.path, (404, b"not found"))
        return Response(content, status)(environ, start_response)

    def __enter__(self) -> Issuer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def says(self, *, metadata: object = None, status: int = 200, answer: object = None) -> None:
        """metadata, answer: JSON, or bytes as they are."""
        usual = {"issuer": self.url, "token_endpoint": f"{self.url}token"}
        self.answers = {
            "/.well-known/openid-configuration": (200, encoded(usual if metadata is None else metadata)),
            "/token": (status, encoded(answer)),
        }


def encoded(content: object) -> bytes:
    return content if isinstance(content, bytes) else json.dumps(content).encode()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


def from_issuer(issuer: Issuer, *more: str) -> subprocess.CompletedProcess[str]:
    named = ["--issuer", issuer.url, "--client-id", "x"]
    return here("token", *named, *more, env=nothing(CLIENT_SECRET="x"))


@pytest.mark.parametrize(
    "metadata",
    [
        b"<html>",
        b"[]",
        {},
        {"issuer": "https://somebody.else/", "token_endpoint": "https://somebody.else/token"},
        {"issuer": None},
        {"issuer": "URL"},
        {"issuer": "URL", "token_endpoint": "http://tenant.example.test/token"},
        {"issuer": "URL", "token_endpoint": 7},
        b" " * (512 * 1024 + 1),
    ],
)
def test_an_issuer_that_cannot_be_one_gets_no_secret(issuer: Issuer, metadata: Any) -> None:
    if isinstance(metadata, dict) and metadata.get("issuer") == "URL":
        metadata = {**metadata, "issuer": issuer.url}
    issuer.says(metadata=metadata)
    before = len(issuer.requests)
    done = from_issuer(issuer)
    assert (done.returncode, done.stdout) == (3, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("jwtgate: ")
    assert [request.path for request in issuer.requests[before:]] == ["/.well-known/openid-configuration"]


def test_without_metadata_there_is_no_answer(issuer: Issuer) -> None:
    issuer.answers = {}
    assert from_issuer(issuer).returncode == 3


def test_an_issuer_with_and_without_its_slash_is_the_same(issuer: Issuer) -> None:
    issuer.says(answer={"access_token": "a.b.c"})
    done = here("token", "--issuer", issuer.url[:-1], "--client-id", "x", "--raw", env=nothing(CLIENT_SECRET="x"))
    assert (done.returncode, done.stdout) == (0, "a.b.c\n")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, b"access_token=a.b.c"),
        (200, {}),
        (200, {"access_token": 7}),
        (200, {"access_token": "two\nlines"}),
        (200, {"access_token": "\x1b[31m"}),
        (500, {"access_token": "a.b.c"}),
        (502, b"<html>"),
    ],
)
def test_an_answer_without_a_token_is_none(issuer: Issuer, status: int, answer: Any) -> None:
    issuer.says(status=status, answer=answer)
    for more in ([], ["--raw"]):
        done = from_issuer(issuer, *more)
        assert done.returncode == 3
        assert "\x1b" not in done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_what_a_stranger_says_cannot_paint_on_the_terminal(issuer: Issuer) -> None:
    issuer.says(status=400, answer={"error": "\x1b[2J", "error_description": "a\nb\u202e[bold]"})
    done = from_issuer(issuer)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == r"Refused: 400 \x1b[2J: a\nb\u202e[bold]"
    issuer.says(answer={"access_token": "a.b.c", "\x1b": "\x1b\u202e"})
    assert not {"\x1b", "\u202e"} & set(from_issuer(issuer).stdout)


def test_an_error_of_another_kind_is_told_as_it_is(issuer: Issuer) -> None:
    issuer.says(status=503, answer={"error": {"code": 7}})
    done = from_issuer(issuer)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (1, 'Refused: 503 {"code": 7}: null')


@pytest.mark.parametrize(
    ("token", "remark"),
    [("a.b.c", None), ("opaque", "opaque"), ("a..b.c.d", "opaque"), ("a.b.c.d.e", "encrypted")],
)
def test_a_token_that_no_api_can_read_is_remarked_upon(issuer: Issuer, token: str, remark: str | None) -> None:
    issuer.says(answer={"access_token": token})
    lines = from_issuer(issuer).stdout.splitlines()
    found = [line for line in lines if line.startswith("This token is ")]
    assert [line.split()[3].rstrip(":") for line in found] == ([] if remark is None else [remark])


def test_other_tokens_in_the_answer_are_shortened_as_well(issuer: Issuer) -> None:
    issuer.says(answer={"access_token": "a.b.c", "refresh_token": "r" * 40, "scope": "s" * 80})
    answer = answer_in(from_issuer(issuer).stdout)
    assert (answer["refresh_token"], answer["scope"]) == (f"{'r' * 16}... (40 characters)", "s" * 80)


def test_all_that_was_asked_for_is_sent_and_the_secret_in_one_place_only(issuer: Issuer) -> None:
    issuer.says(answer={"access_token": "a.b.c"})
    asked = ["--audience", "https://a/?b&c", "--scope", "x y", "--organization", "org_1"]
    for more in ([], ["--basic"]):
        assert from_issuer(issuer, *asked, *more).returncode == 0
    body, basic = issuer.requests[-3], issuer.requests[-1]
    common = {"grant_type": "client_credentials", "audience": "https://a/?b&c", "scope": "x y", "organization": "org_1"}
    assert body.form.to_dict() == {**common, "client_id": "x", "client_secret": "x"}
    assert basic.form.to_dict() == common
    assert (body.authorization, basic.authorization.username) == (None, "x")  # type: ignore[union-attr]


def test_http_beyond_loopback_is_for_who_asks_for_it(issuer: Issuer) -> None:
    """The name resolves to nothing: the request is tried, and fails."""
    named = ["--issuer", "http://tenant.invalid/", "--client-id", "x"]
    assert here("token", *named, env=nothing(CLIENT_SECRET="x")).returncode == 2
    assert here("token", *named, "--allow-http", env=nothing(CLIENT_SECRET="x")).returncode == 3


def test_nobody_there_is_no_answer() -> None:
    done = here("token", "--domain", "http://127.0.0.1:1", "--client-id", "x", env=nothing(CLIENT_SECRET="x"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


@pytest.mark.parametrize("host", ["a..b", "xn--", "a" * 70 + ".test"])
def test_a_name_that_no_host_can_have_is_no_answer(host: str) -> None:
    done = here("token", "--issuer", f"https://{host}/", "--client-id", "x", env=nothing(CLIENT_SECRET="x"))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)


def test_a_proxy_in_the_environment_is_not_asked_about_loopback(ask: Ask) -> None:
    nobody = "http://127.0.0.1:1"
    proxies = {"HTTP_PROXY": nobody, "http_proxy": nobody, "ALL_PROXY": nobody, "NO_PROXY": "", "no_proxy": ""}
    assert ask("--raw", env=proxies).returncode == 0
