"""Installing a tap for the demo: from a directory of wheels, so that no network is needed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from target_databox.emulator.commands.taps import TapError, cache_path, installed_tap


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip installs from, with one small tap in it."""
    place = tmp_path / "wheels"
    place.mkdir()
    info = "tap_small-1.0.dist-info"
    with zipfile.ZipFile(place / "tap_small-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tap_small.py", "def main():\n    print('tapped')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tap-small\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntap-small = tap_small:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    return place


@pytest.mark.slow
def test_tap_is_installed_once(wheels: Path, tmp_path: Path) -> None:
    """A tap is installed on the first call, found on the second, and a half-made environment is made anew."""
    command = installed_tap("tap-small", "1.0", tmp_path / "cache")
    assert "tap_small" in command.read_text()
    (wheels / "tap_small-1.0-py3-none-any.whl").rename(tmp_path / "away.whl")
    assert installed_tap("tap-small", "1.0", tmp_path / "cache") == command
    (tmp_path / "away.whl").rename(wheels / "tap_small-1.0-py3-none-any.whl")
    (command.parent.parent / "complete").unlink()
    command.write_text("half")
    assert "tap_small" in installed_tap("tap-small", "1.0", tmp_path / "cache").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("wheels")
def test_missing_tap_is_explained(tmp_path: Path) -> None:
    """A tap that pip can't get is an error that names it, asks about PyPI and tells where pip's words are."""
    with pytest.raises(
        TapError, match=r"could not install tap-other==2\.0; is PyPI within reach\?"
    ) as caught:
        installed_tap("tap-other", "2.0", tmp_path)
    log = Path(str(caught.value).partition("said is in ")[2].partition(". Run")[0])
    assert "tap-other" in log.read_text()


def test_unusable_cache_is_explained(tmp_path: Path) -> None:
    """A cache that can't be written to is an error that names the place."""
    (tmp_path / "file").touch()
    with pytest.raises(TapError, match="could be made in"):
        installed_tap("tap-small", "1.0", tmp_path / "file")


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
