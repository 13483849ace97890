"""`jwtgate explain`: the cause of every refusal of the demo, and a command that keeps tokens to itself."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest
from rich.console import Console

from jwtgate import ApiSettings, AsyncVerifier, Cause, Issuer, Request, SettingsError, Verifier
from jwtgate.cli.cases import CASES, Case
from jwtgate.cli.explain import examined, run, settings_of
from jwtgate.cli.stage import Stage, stage
from tests.cli.command import COMMAND, TIMEOUT, environment
from tests.making import API, ISSUER, SECRET, Issuing

# The refused requests of the demo, and why.
CAUSES = {
    "no token": Cause.NO_CREDENTIALS,
    "the same token, at the API with the slash": Cause.AUDIENCE_SLASH,
    "expired an hour ago": Cause.EXPIRED,
    "of another issuer": Cause.ISSUER,
    "an ID token": Cause.ID_TOKEN,
    "an opaque token": Cause.OPAQUE,
    "RS256, at a PS256 API": Cause.ALGORITHM,
    "Auth0 profile, at an RFC 9068 API": Cause.OTHER_PROFILE,
    "payload altered: one more permission": Cause.SIGNATURE,
    "alg: none, without a signature": Cause.UNSIGNED,
    "alg: none, with the old signature": Cause.UNSIGNED,
    "HS256, signed with the public key": Cause.SYMMETRIC_ALGORITHM,
    "signed with an unknown key": Cause.UNKNOWN_KEY,
    "two tokens in one request": Cause.TWO_TOKENS,
    "a good token with no permissions": Cause.PERMISSION_MISSING,
    "the same machine writes": Cause.PERMISSION_MISSING,
    "RBAC on: the scope, and no role for it": Cause.ROLE_MISSING,
    "RBAC on: a token from before it was": Cause.NO_PERMISSIONS_CLAIM,
    "RBAC off: the scope does not hold it": Cause.SCOPE_MISSING,
}
# What senders must prove is looked at in tests/core/test_examination.py.
ELSEWHERE = ("/public", "/dpop/messages", "/mtls/messages", "/encrypted/messages")
GUARDED = [case for case in CASES if not case.request.endswith(ELSEWHERE)]
ISSUING = Issuing()


@pytest.fixture(scope="module")
def here() -> Iterator[Stage]:
    with stage() as playing:
        yield playing


def settings_at(here: Stage, case: Case) -> ApiSettings:
    api = here.apis[case.request.split("/")[1]]
    return ApiSettings.from_resource_server(
        api.resource_server(), here.tenant.issuer, signing_secret=api.signing_secret
    )


def request_of(here: Stage, case: Case) -> Request:
    method, _, path = case.request.partition(" ")
    url = here.api_url + path
    return Request(method, url, case.headers(here, method, url))


def required(case: Case) -> str:
    return "read:messages" if case.request.startswith("GET") else "write:messages"


@pytest.mark.parametrize("case", GUARDED, ids=lambda case: case.sends)
def test_every_request_of_the_demo_is_explained(here: Stage, case: Case) -> None:
    verifier = Verifier(settings_at(here, case), http=here.http)
    found = verifier.explain_request(request_of(here, case), required(case))
    assert found.cause == CAUSES.get(case.sends)
    assert (None if found.refusal is None else found.refusal.event) == case.expected.refusal
    assert (200 if found.refusal is None else found.refusal.status) == case.expected.status


@pytest.mark.parametrize("case", GUARDED, ids=lambda case: case.sends)
def test_the_other_driver_explains_it_the_same(here: Stage, case: Case) -> None:
    settings, request, need = settings_at(here, case), request_of(here, case), required(case)

    async def explained() -> tuple[Any, Any]:
        async with httpx.AsyncClient(trust_env=False) as http:
            verifier = AsyncVerifier(settings, http=http)
            found = await verifier.explain_request(request, need)
            return found, await verifier.explain(bare(request), need)

    verifier = Verifier(settings, http=here.http)
    whole, token = asyncio.run(explained())
    assert [whole.cause, token.cause] == [
        verifier.explain_request(request, need).cause,
        verifier.explain(bare(request), need).cause,
    ]


def bare(request: Request) -> str:
    return request.headers[0][1].removeprefix("Bearer ") if request.headers else ""


@pytest.mark.parametrize("case", GUARDED, ids=lambda case: case.sends)
def test_the_command_tells_it_from_the_lines_of_a_request(here: Stage, case: Case) -> None:
    settings = settings_at(here, case)
    lines = "".join(f"> {name}: {value}\r\n" for name, value in request_of(here, case).headers)
    status, told = printed(f"> {case.request}\r\n{lines}", settings, required(case), as_json=True)
    document = json.loads(told)
    # Without an Authorization line, the whole text is taken for a token.
    wanted = Cause.WRAPPED if case.sends == "no token" else CAUSES.get(case.sends)
    assert (document["cause"], status) == (wanted, 0 if wanted is None else 1)


def test_an_explanation_is_not_logged_as_a_refusal(here: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="jwtgate")
    Verifier(settings_at(here, GUARDED[0]), http=here.http).explain("x")
    assert caplog.records == []


# --- what is printed ----------------------------------------------------------------------------------------


def printed(sent: str, settings: ApiSettings, *require: str, **options: Any) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    status = run(console, sent, settings, require, **options)
    return status, console.file.getvalue()  # type: ignore[attr-defined]


KNOWN = ApiSettings(identifier=API, issuers=[Issuer(ISSUER, jwks=ISSUING.jwks(ISSUING.key().jwk()))])


def fresh(**claims: Any) -> str:
    now = int(time.time())
    return ISSUING.token(**{"iat": now, "exp": now + 600, **claims})


def rows(text: str) -> dict[str, list[str]]:
    """By check, the cells of its line."""
    cells = [line.split("  ") for line in text.splitlines()]
    found = [[cell.strip() for cell in line if cell.strip()] for line in cells]
    return {line[1]: line for line in found if len(line) == 5}


def test_a_line_has_status_check_expected_found_and_section() -> None:
    status, text = printed(fresh(aud=API[:-1]), KNOWN, "read:messages")
    assert status == 1
    table = rows(text)
    assert table["check"] == ["status", "check", "expected", "found", "section"]
    assert table["audience"] == ["failed", "audience", API, f'"{API[:-1]}"', "RFC 7519 section 4.1.3"]
    assert table["signature"][0] == "passed"
    assert table["requirement"][0] == "passed"
    assert "Unverified" not in text


def test_an_accepted_token_leaves_with_0_and_no_advice() -> None:
    status, text = printed(fresh(), KNOWN)
    assert status == 0
    assert text.splitlines()[1] == ""
    assert {cells[0] for cells in rows(text).values()} == {"status", "passed"}


def test_times_are_told_as_people_read_them() -> None:
    _, text = printed(fresh(exp=0), KNOWN)
    assert "(1970-01-01T00:00:00Z)" in rows(text)["expiry"][3]


def test_times_that_nobody_examined_are_left_as_they_are() -> None:
    _, text = printed(Issuing("https://stranger.test/").token(exp=1e300), KNOWN)
    assert rows(text)["expiry"][:1] + rows(text)["expiry"][3:4] == ["not reached", "1e+300"]


def test_what_would_be_refused_next_is_told_too() -> None:
    _, text = printed(fresh(aud=API[:-1], sub=""), KNOWN)
    assert sum(line.startswith("Also: ") for line in text.splitlines()) == 1


def test_what_was_not_reached_and_is_not_there_is_one_line() -> None:
    _, text = printed("opaque", KNOWN)
    (missed,) = [line for line in text.splitlines() if line.startswith("Not reached: ")]
    assert missed.count(",") > 15
    assert list(rows(text)) == ["check", "form"]
    assert "Unverified" not in text


def test_claims_under_no_good_signature_are_called_unverified() -> None:
    _, text = printed(Issuing(number=2).token(header={"kid": ISSUING.key().kid}), KNOWN)
    lines = text.splitlines()
    (warning,) = [number for number, line in enumerate(lines) if line.startswith("Unverified: ")]
    assert warning < next(number for number, line in enumerate(lines) if line.startswith("status "))


def test_a_long_value_is_cut() -> None:
    _, text = printed(fresh(sub="x" * 5_000), KNOWN)
    assert max(map(len, text.splitlines())) < 400


EVIL = "\x1b[31m\x1b]0;title\x07\x9b2J\u202e\r\n[bold]"


@pytest.mark.parametrize("claim", ["sub", "aud", "iss", "scope", "gty", "azp"])
@pytest.mark.parametrize("as_json", [False, True])
def test_no_control_character_of_a_token_reaches_the_terminal(claim: str, as_json: bool) -> None:
    _, text = printed(fresh(**{claim: EVIL}), KNOWN, as_json=as_json)
    assert all(each == "\n" or (each.isprintable() and each.isascii()) for each in text)
    assert "[bold]" in text


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("token", [fresh(), fresh(aud="x"), fresh() + "=", "opaque-token-of-somebody"])
def test_the_token_is_not_printed(token: str, as_json: bool) -> None:
    _, text = printed(token, KNOWN, as_json=as_json)
    assert not [part for part in token.split(".") if len(part) > 20 and part in text]


@pytest.mark.parametrize(
    ("sent", "cause"),
    [
        ("{}", None),
        (" {}\r\n", None),
        ("Bearer {}", None),
        ("bearer {}\n", None),
        ("authorization: Bearer {}", None),
        ("GET / HTTP/1.1\r\nHost: a\r\nAuthorization:Bearer {}\r\n\r\n", None),
        ("curl https://a/ \\\n  -H 'Authorization: Bearer {}' \\\n  -i", None),
        ("-H 'Authorization: Bearer {}'", None),
        ("Authorization: Bearer {0}\nAuthorization: Bearer {0}", Cause.TWO_TOKENS),
        ("Authorization: Basic abc", Cause.NO_CREDENTIALS),
        ("Authorization: Bearer", Cause.CREDENTIALS),
        ('"{}"', Cause.WRAPPED),
        ("", Cause.NOTHING),
    ],
)
def test_a_token_is_found_where_people_have_it(sent: str, cause: Cause | None) -> None:
    found = examined(Verifier(KNOWN), sent.format(fresh()), None, offline=True)
    assert found.cause is cause


# --- its settings -------------------------------------------------------------------------------------------

ENVIRON = {"AUTH0_DOMAIN": "t.example.com", "API_IDENTIFIER": "https://env/", "JWTGATE_LEEWAY": "5"}


def given(**options: str) -> dict[str, str | None]:
    return {f"--{name.replace('_', '-')}": value for name, value in options.items()}


@pytest.mark.parametrize(
    ("options", "attribute", "value"),
    [
        ({}, "identifier", "https://env/"),
        ({"identifier": "https://option/"}, "identifier", "https://option/"),
        ({"domain": "two.example.com"}, "domain", "two.example.com"),
        ({"issuer": "https://idp.example/realms/x"}, "issuers", (Issuer("https://idp.example/realms/x"),)),
        ({"algorithm": "PS256"}, "signing_algorithms", ("PS256",)),
        ({"profile": "rfc9068"}, "profile", "rfc9068"),
        ({"permissions_in_token": "True"}, "permissions_in_token", True),
        ({"permissions_in_token": "False"}, "permissions_in_token", False),
        ({"leeway": "7"}, "leeway", 7.0),
    ],
)
def test_an_option_takes_the_place_of_the_environment(options: dict[str, str], attribute: str, value: object) -> None:
    assert getattr(settings_of(given(**options), ENVIRON), attribute) == value


def test_an_issuer_that_is_given_is_the_only_one() -> None:
    issuers = {**ENVIRON, "JWTGATE_ISSUERS": "https://one.example/"}
    by_domain = settings_of(given(domain="two.example.com"), issuers)
    assert [issuer.url for issuer in by_domain.issuers] == ["https://two.example.com/"]


@pytest.mark.parametrize(
    ("options", "environ", "setting"),
    [
        ({"domain": "no domain"}, ENVIRON, "--domain (AUTH0_DOMAIN)"),
        ({}, {"AUTH0_DOMAIN": "t.example.com"}, "--identifier (AUTH0_AUDIENCE)"),
        ({}, {**ENVIRON, "JWTGATE_SHORT_SECRET": "x"}, "JWTGATE_SHORT_SECRET"),
    ],
)
def test_a_wrong_setting_is_named_as_it_can_be_given(
    options: dict[str, str], environ: Mapping[str, str], setting: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        settings_of(given(**options), environ)
    assert refused.value.setting == setting


# --- the command --------------------------------------------------------------------------------------------


def explain(sent: bytes, *arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    options = ["--issuer", ISSUER, "--identifier", API, *arguments]
    return subprocess.run(
        [*COMMAND, "explain", *options],
        input=sent,
        env=environment(**variables),
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )


HS256 = {"JWTGATE_SIGNING_SECRET": SECRET.decode()}


def test_the_command_reads_standard_input_and_leaves_with_0_for_a_good_token() -> None:
    now = int(time.time())
    token = ISSUING.token(algorithm="HS256", iat=now, exp=now + 600).encode()
    done = explain(token + b"\n", "--algorithm", "HS256", "--require", "read:messages", "--json", **HS256)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["verdict"] == "accepted"


def test_the_command_leaves_with_1_for_a_token_that_is_not_accepted() -> None:
    done = explain(fresh().encode(), "--offline", "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (1, "undecided")
    done = explain(b"", "-", "--offline", "--json")
    assert (done.returncode, json.loads(done.stdout)["cause"]) == (1, "nothing")


def test_the_command_takes_a_token_as_its_argument() -> None:
    done = explain(b"", fresh(aud=API[:-1]), "--offline", "--json", "--permissions-in-token")
    assert json.loads(done.stdout)["cause"] == "audience_slash"


def test_bytes_that_are_no_text_are_no_token() -> None:
    done = explain(b"\xff\xfe.\x80.a", "--offline", "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (1, "refused")


@pytest.mark.parametrize("arguments", [["--algorithm", "none"], ["--require", "two words"], ["--lee", "way"]])
def test_settings_that_could_never_be_right_are_status_2(arguments: list[str]) -> None:
    done = explain(b"x", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


def on_a_terminal(width: int, *arguments: str, typed: bytes = b"") -> tuple[int, str]:
    """The command with a terminal for all three: exit status, and all that was shown."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "explain", "--issuer", ISSUER, "--identifier", API, "--offline", *arguments],
        env=environment(COLUMNS=str(width)),
        stdin=side,
        stdout=side,
        stderr=side,
        start_new_session=True,  # it must not ask at the terminal of whoever runs the tests
    )
    os.close(side)
    shown = b""
    asked = False
    try:
        while block := os.read(main, 65_536):
            shown += block
            # The space comes after the echo has been switched off, and what was typed before that is thrown away.
            if typed and not asked and b"Token: " in shown:
                asked = True
                os.write(main, typed + b"\n")
    except OSError:
        pass  # the other side is closed: the process has ended
    finally:
        os.close(main)
    return process.wait(TIMEOUT), shown.decode()


@pytest.mark.parametrize("width", [60, 140])
def test_on_a_terminal_it_is_coloured_and_fits(width: int) -> None:
    status, text = on_a_terminal(width, fresh(exp=0))
    assert status == 1
    assert "\x1b[32m" in text
    assert "expiry" in text


def test_on_a_terminal_it_asks_and_shows_nothing_of_what_is_typed() -> None:
    token = fresh()
    status, text = on_a_terminal(140, typed=token.encode())
    assert status == 1
    assert token[:40] not in text
