"""A setup that is written in YAML: which values it has, where they stand, and what is no YAML."""

from __future__ import annotations

from pathlib import Path

import pytest

from jwtgate.tenant import Place, Rule, SetupError, TenantError
from jwtgate.tenant.setup_file import Written, read_file, read_yaml

WRITTEN = b"""\
apis:
  - identifier: https://api.example.com/
    token_lifetime: 3_600
    rbac: yes
    name: 2026-01-31
    permissions:
      on: Switch it on
      read:messages:
users: []
"""


def test_values_are_text_whole_numbers_truth_and_nothing() -> None:
    assert read_yaml(WRITTEN).content == {
        "apis": [
            {
                "identifier": "https://api.example.com/",
                "token_lifetime": 3600,
                "rbac": True,
                "name": "2026-01-31",
                "permissions": {"on": "Switch it on", "read:messages": None},
            }
        ],
        "users": [],
    }


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1.5", "1.5"),
        ("0b_", "0b_"),
        ("!!bool perhaps", "perhaps"),
        ("0x10", 16),
        ("'1'", "1"),
        ("~", None),
        ("<<", "<<"),
        ("&a [1, 1]", [1, 1]),
        ("{a: &b [x], c: *b}", {"a": ["x"], "c": ["x"]}),
        ("\ufeff{a: 1}", {"a": 1}),
    ],
)
def test_what_is_nothing_else_is_the_text_that_stands_there(written: str, value: object) -> None:
    assert read_yaml(written.encode()).content == value


@pytest.mark.parametrize("empty", [b"", b"# nothing yet\n", b"---\n"])
def test_a_file_with_nothing_in_it_sets_up_nothing(empty: bytes) -> None:
    assert read_yaml(empty).content in ({}, None)


@pytest.mark.parametrize(
    ("steps", "line", "column"),
    [
        ((), 1, 1),
        (("apis",), 1, 1),
        (("apis", 0), 2, 5),
        (("apis", 0, "rbac"), 4, 5),
        (("apis", 0, "permissions", "read:messages"), 8, 7),
        (("users",), 9, 1),
        (("apis", 0, "client_access"), 2, 5),  # of what is not there: the place around it
    ],
)
def test_each_value_has_its_place(steps: tuple[str | int, ...], line: int, column: int) -> None:
    assert read_yaml(WRITTEN, "a.yaml").place(steps) == Place(source="a.yaml", line=line, column=column, steps=steps)


def test_a_mapping_has_no_lines_but_the_way_to_each_value() -> None:
    assert Written({"apis": [{}]}).place(("apis", 0)) == Place(steps=("apis", 0))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (Place(), "setup"),
        (Place(steps=("apis", 0, "name")), "apis[0].name"),
        (Place(source="a.yaml"), "a.yaml"),
        (Place(source="a.yaml", line=3, column=7), "a.yaml:3:7"),
        (Place(source="a.yaml", line=3, column=7, steps=("apis",)), "a.yaml:3:7: apis"),
    ],
)
def test_a_place_is_written_as_compilers_do_it(place: Place, told: str) -> None:
    assert str(place) == told
    assert str(SetupError(place, Rule.SETUP_TWICE)).startswith(f"{told}: ")


@pytest.mark.parametrize(
    ("written", "rule", "line", "column"),
    [
        (b"a: [1", Rule.SETUP_SYNTAX, 1, 6),
        (b"a: 1\nb: c: d", Rule.SETUP_SYNTAX, 2, 5),
        (b"a: *nobody", Rule.SETUP_SYNTAX, 1, 4),
        (b"--- 1\n--- 2", Rule.SETUP_SYNTAX, 2, 1),
        (b"a: 1\n\xc3\xa9: \x80", Rule.SETUP_SYNTAX, 2, 4),
        (b"\xef\xbb\xbfa: \x80", Rule.SETUP_SYNTAX, 1, 4),
        (b"a: 1\nb: \x00", Rule.SETUP_SYNTAX, 2, 4),
        (b"[" * 5000, Rule.SETUP_SYNTAX, 0, 0),
        (b"a: 1\nb: 2\na: 3", Rule.SETUP_KEY_TWICE, 3, 1),
        (b"a:\n  - !env SECRET", Rule.SETUP_TYPE, 2, 5),
        (b"&a [1, *a]", Rule.SETUP_TYPE, 1, 1),
        (b"? [a]\n: 1", Rule.SETUP_TYPE, 1, 3),
    ],
)
def test_what_is_no_setup_says_where(written: bytes, rule: Rule, line: int, column: int) -> None:
    with pytest.raises(SetupError) as refused:
        read_yaml(written, "a.yaml")
    place = refused.value.place
    assert (refused.value.rule, place.source, place.line, place.column) == (rule, "a.yaml", line, column)


def test_a_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "tenant.yaml"
    path.write_bytes(WRITTEN)
    assert read_file(path) == read_yaml(WRITTEN, str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.yaml"):
        with pytest.raises(TenantError) as refused:
            read_file(path)
        assert (refused.value.rule, refused.value.place) == (Rule.SETUP_FILE, Place(source=str(path)))
