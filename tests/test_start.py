"""Facts on how the command starts: what it does not import, and that garbage is collected afterwards."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

RUN = """
import gc, sys
from target_databox.__main__ import main
sys.argv = ["target-databox", "--version"]
try:
    main()
except SystemExit:
    pass
print(gc.isenabled(), *sys.modules)
"""


def started() -> list[str]:
    """What `--version` printed, whether garbage is collected, and every module that was imported."""
    run = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_version_imports_no_delivery() -> None:
    """`--version` reads the code of neither a load nor a display nor an emulator."""
    modules = started()
    idle = {
        "run",
        "failures",
        "rehearsal",
        "reports.progress",
        "reports.summary",
        "outputs.rejects",
        "api.v1.client",
        "delivery.engine",
        "emulator",
    }
    assert all(find_spec(f"target_databox.{name}") for name in idle)
    assert not {f"target_databox.{name}" for name in idle}.intersection(modules)
    assert not {"rich", "aiohttp", "jinja2"}.intersection(modules)


def test_garbage_is_collected_again() -> None:
    """Garbage is collected once the command runs."""
    assert "True" in started()


def test_package_runs_as_module() -> None:
    """`python -m target_databox` is the command too."""
    run = subprocess.run(
        [sys.executable, "-m", "target_databox", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("target-databox v")
