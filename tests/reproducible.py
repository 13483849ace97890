"""The wheel, made twice under different circumstances: are both the same, byte for byte?

`python -m tests.reproducible` tells; it ends with 1 where they differ, and with 2 where no wheel can be made. It needs
hatchling, and no network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# All that the wheel is made of, and the list of what tools leave behind.
SOURCES: Final = ("pyproject.toml", "README.md", "LICENSE", ".gitignore", "src")
EPOCH: Final = 1_767_225_600  # 2026-01-01, where no commit says another time
NEEDED: Final = "hatchling is not installed: pip install 'hatchling>=1.27'"


@dataclass(frozen=True)
class Circumstances:
    """All that two builds may differ in. backwards: the order in which files came; aged: seconds since they changed."""

    zone: str
    seed: str
    mode: int
    aged: int
    backwards: bool


HERE: Final = Circumstances("UTC", "0", 0o644, 0, backwards=False)
THERE: Final = Circumstances("Pacific/Kiritimati", "4294967295", 0o600, 400_000_000, backwards=True)


def can_build() -> bool:
    return importlib.util.find_spec("hatchling") is not None


def epoch() -> int:
    """Seconds: when the last commit was made."""
    asked = ["git", "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return EPOCH
    return int(done.stdout)


def lay_out(folder: Path, circumstances: Circumstances) -> None:
    """A copy of the sources, and of nothing that tools left among them."""
    files = [
        path
        for name in SOURCES
        for path in ([ROOT / name] if (ROOT / name).is_file() else (ROOT / name).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    for path in sorted(files, reverse=circumstances.backwards):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        copy.chmod(circumstances.mode)
        changed = copy.stat().st_mtime - circumstances.aged
        os.utime(copy, (changed, changed))


def build(sources: Path, seconds: int, circumstances: Circumstances) -> Path:
    """The wheel of these sources. seconds: what all its dates say, since 1970. Raises CalledProcessError."""
    environment = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(seconds),
        "TZ": circumstances.zone,
        "PYTHONHASHSEED": circumstances.seed,
    }
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(command, cwd=sources, env=environment, capture_output=True, timeout=300, check=True)
    (wheel,) = (sources / "dist").glob("*.whl")
    return wheel


def differences(first: Path, second: Path) -> list[str]:
    """What makes two wheels different, by the names of their members; none where they are the same."""
    if first.read_bytes() == second.read_bytes():
        return [] if first.name == second.name else [f"{first.name}, {second.name}"]
    with zipfile.ZipFile(first) as one, zipfile.ZipFile(second) as other:
        here, there = ({member.filename: member for member in wheel.infolist()} for wheel in (one, other))
        apart = [name for name in sorted(here.keys() | there.keys()) if name not in here or name not in there]
        both = sorted(here.keys() & there.keys())
        content = [name for name in both if one.read(name) != other.read(name)]
        dates = [f"{name}: its date" for name in both if here[name].date_time != there[name].date_time]
        modes = [f"{name}: its mode" for name in both if here[name].external_attr != there[name].external_attr]
    return apart + content + dates + modes or ["the order of the members, or how they are packed"]


def main() -> int:
    if not can_build():
        print(NEEDED, file=sys.stderr)
        return 2
    seconds, wheels = epoch(), []
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        for folder, circumstances in ((Path(first), HERE), (Path(second), THERE)):
            lay_out(folder, circumstances)
            try:
                wheels.append(build(folder, seconds, circumstances))
            except subprocess.CalledProcessError as error:
                print(error.stderr.decode(errors="replace"), file=sys.stderr)
                return 2
            print(f"{hashlib.sha256(wheels[-1].read_bytes()).hexdigest()}  {wheels[-1].name}")
        found = differences(*wheels)
    print(*[f"differs: {what}" for what in found] or ["both are the same, byte for byte"], sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
