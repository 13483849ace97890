"""What a name, a text, and a setting with members may be: the same for whatever has one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from .errors import Rule, TenantError

NAME_LENGTH = (1, 200)  # characters
NAME_FORBIDDEN = "< >"


def check_name(name: str) -> None:
    """Raises TenantError unless this is text of 1 to 200 characters without `<` and `>`."""
    check_text(name)
    low, high = NAME_LENGTH
    if not low <= len(name) <= high:
        raise TenantError(Rule.NAME_LENGTH, name, NAME_LENGTH)
    if "<" in name or ">" in name:
        raise TenantError(Rule.NAME_CHARACTERS, name, NAME_FORBIDDEN)


def check_text(value: object) -> None:
    """Raises TenantError for what is no string, and for half a surrogate pair, which UTF-8 cannot hold."""
    if not is_text(value):
        raise TenantError(Rule.TEXT, value)


def is_text(value: object) -> bool:
    """A string that UTF-8, hence JSON, can hold."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_members(given: object, knows: Collection[str], *, needs: Collection[str]) -> None:
    """Raises TenantError for what is no mapping, for a member that nobody knows, and for one that is missing."""
    if not isinstance(given, Mapping):
        raise TenantError(Rule.MEMBERS, type(given).__name__, knows)
    for name in given:
        if name not in knows:
            raise TenantError(Rule.MEMBERS, name, knows)
    for name in needs:
        if name not in given:
            raise TenantError(Rule.MEMBER_MISSING, limit=name)
