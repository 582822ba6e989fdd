"""Installing a tap for the demo: from a directory of wheels, so that no network is needed."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from pathlib import Path

import pytest

from target_databox.emulator.commands.demo import PINNED
from target_databox.emulator.commands.taps import TapError, cache_path, installed_tap

WHEEL = "tap_small-1.0-py3-none-any.whl"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip installs from, with one small tap in it."""
    place = tmp_path / "wheels"
    place.mkdir()
    info = "tap_small-1.0.dist-info"
    with zipfile.ZipFile(place / WHEEL, "w") as wheel:
        wheel.writestr("tap_small.py", "def main():\n    print('tapped')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tap-small\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntap-small = tap_small:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


def pins(folder: Path, wheels: Path, name: str = "tap-small") -> Path:
    """A file that pins the tap with the hash of its wheel."""
    digest = hashlib.sha256((wheels / WHEEL).read_bytes()).hexdigest()
    path = folder / "pins.txt"
    path.write_text(f"{name}==1.0 \\\n    --hash=sha256:{digest}\n")
    return path


@pytest.mark.slow
def test_tap_is_installed_once(wheels: Path, tmp_path: Path) -> None:
    """A tap is installed on the first call, found on the second, and a half-made environment is made anew."""
    pinned = pins(tmp_path, wheels)
    command = installed_tap("tap-small", pinned, tmp_path / "cache")
    assert "tap_small" in command.read_text()
    (wheels / WHEEL).rename(tmp_path / "away.whl")
    assert installed_tap("tap-small", pinned, tmp_path / "cache") == command
    (tmp_path / "away.whl").rename(wheels / WHEEL)
    (command.parent.parent / "complete").unlink()
    command.write_text("half")
    assert "tap_small" in installed_tap("tap-small", pinned, tmp_path / "cache").read_text()


@pytest.mark.slow
def test_changed_wheel_is_refused(wheels: Path, tmp_path: Path) -> None:
    """A wheel whose hash is not the pinned one is not installed; other pins make another environment."""
    pinned = pins(tmp_path, wheels)
    command = installed_tap("tap-small", pinned, tmp_path / "cache")
    with zipfile.ZipFile(wheels / WHEEL, "a") as wheel:
        wheel.writestr("more.py", "")
    pinned.write_text(pinned.read_text() + "# changed\n")
    with pytest.raises(TapError, match="could not install tap-small as it is pinned") as caught:
        installed_tap("tap-small", pinned, tmp_path / "cache")
    assert "DO NOT MATCH THE HASHES" in log_of(caught.value).read_text()
    assert command.exists()


@pytest.mark.slow
def test_unpinned_needs_are_not_installed(wheels: Path, tmp_path: Path) -> None:
    """What has no hash, or comes as sources, is refused before anything of it runs."""
    pinned = tmp_path / "pins.txt"
    pinned.write_text("tap-small==1.0\n")
    with pytest.raises(TapError) as caught:
        installed_tap("tap-small", pinned, tmp_path / "cache")
    assert "Hashes are required" in log_of(caught.value).read_text()
    with tarfile.open(wheels / "tap_source-1.0.tar.gz", "w:gz") as archive:
        (tmp_path / "setup.py").write_text("raise SystemExit('it ran')")
        archive.add(tmp_path / "setup.py", "tap_source-1.0/setup.py")
    digest = hashlib.sha256((wheels / "tap_source-1.0.tar.gz").read_bytes()).hexdigest()
    pinned.write_text(f"tap-source==1.0 --hash=sha256:{digest}\n")
    with pytest.raises(TapError) as caught:
        installed_tap("tap-source", pinned, tmp_path / "cache")
    assert "No matching distribution found for tap-source" in log_of(caught.value).read_text()


def log_of(error: TapError) -> Path:
    """The file that an error names."""
    return Path(str(error).partition("said is in ")[2].partition(". Run")[0])


@pytest.mark.slow
def test_missing_tap_is_explained(wheels: Path, tmp_path: Path) -> None:
    """A tap that pip can't get is an error that names it, asks about PyPI and tells where pip's words are."""
    pinned = pins(tmp_path, wheels, "tap-other")
    with pytest.raises(
        TapError, match=r"could not install tap-other .* is PyPI, or a mirror of it"
    ) as caught:
        installed_tap("tap-other", pinned, tmp_path)
    assert "tap-other" in log_of(caught.value).read_text()


def test_unusable_cache_is_explained(tmp_path: Path) -> None:
    """A cache that can't be written to is an error that names the place."""
    (tmp_path / "file").touch()
    with pytest.raises(TapError, match="could be made in"):
        installed_tap("tap-small", PINNED, tmp_path / "file")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"XDG_CACHE_HOME": "/somewhere"}, Path("/somewhere/target-databox")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "target-databox"),
        ({}, Path.home() / ".cache" / "target-databox"),
    ],
)
def test_cache_follows_xdg(variables: dict[str, str], expected: Path) -> None:
    """The cache is where the XDG specification says."""
    assert cache_path(variables) == expected
