"""Who may import whom, and what every module owes its reader."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

import target_databox

PACKAGE = "target_databox"
ROOT = Path(target_databox.__file__).parent

# What all versions of the API share, and all that may be seen of it where the version does not matter.
VERSIONLESS = ("api.errors", "api.values", "api.dialect", "api.retries")
# The only module that names versions of the API.
NAMES_VERSIONS = ("versions",)
VERSION = re.compile(rf"{PACKAGE}\.api\.(v[0-9]+)\b")
# Packages and modules that may not import the rest, and what of it they may import all the same.
CLOSED = {
    "api": ("api",),
    "emulator": ("emulator",),
    "delivery": ("delivery", *VERSIONLESS),
    "destination": ("destination", *VERSIONLESS),
    "records": ("records",),
}
# Distributions that only some modules may know.
RESERVED = {
    "singer_sdk": ("target", "command", "sinks", "singer", "settings", "reports.metrics"),
    "requests": ("api",),
    "aiohttp": ("emulator",),
    "jinja2": ("emulator",),
}
# Time, chance, threads, the network and the log come in as parameters here, with one exception each.
PURE = {"records": (), "delivery": ("delivery.engine",)}
# What an answer amounts to comes back as a value: these never learn of each other.
SEPARATE = (
    "delivery.posting",
    "delivery.confirmation",
    "delivery.confirmation_by_list",
    "delivery.halving",
    "delivery.lost_answers",
    "delivery.opening",
)
IMPURE = ("logging", "random", "requests", "select", "socket", "threading", "time", "urllib")
FORBIDDEN_NAMES = ("common", "helpers", "misc", "util", "utils")
LONG_LINES = 400


class Module(NamedTuple):
    """A module of the package: its name without the package's, its text and its syntax tree."""

    name: str
    text: str
    tree: ast.Module
    is_package: bool

    @property
    def imports(self) -> list[str]:
        """Full names of everything imported, also inside functions and for type checking only."""
        return [name for node in ast.walk(self.tree) for name in imported(node, self.name)]


def imported(node: ast.AST, module: str) -> list[str]:
    """The full names that one statement imports; of `from a import b` both `a` and `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}: imports are absolute, so that they can be searched for."
        source = node.module or ""
        return [source, *(f"{source}.{alias.name}" for alias in node.names)]
    return []


def module_at(path: Path) -> Module:
    """The module in a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Module(name, text, ast.parse(text, str(path)), path.name == "__init__.py")


def within(name: str, parts: tuple[str, ...]) -> bool:
    """Whether a name is one of the parts, or inside one."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


MODULES = [module_at(path) for path in sorted(ROOT.rglob("*.py"))]
every_module = pytest.mark.parametrize("module", MODULES, ids=[module.name or PACKAGE for module in MODULES])


@every_module
def test_rooms_import_only_neighbours(module: Module) -> None:
    """A closed part imports of the package only what it may."""
    part = next((part for part in CLOSED if within(module.name, (part,))), None)
    if part is None:
        return
    seen = {name.removeprefix(f"{PACKAGE}.") for name in module.imports if name.startswith(f"{PACKAGE}.")}
    strangers = {name for name in seen if not within(name, CLOSED[part]) and not is_passage(name, part)}
    assert not strangers, f"{module.name} imports {', '.join(sorted(strangers))}"


def is_passage(name: str, part: str) -> bool:
    """Whether a name is only the package on the way to a module that is allowed."""
    return any(allowed.startswith(f"{name}.") for allowed in CLOSED[part])


@every_module
def test_distributions_stay_in_rooms(module: Module) -> None:
    """Only `api` knows requests, only what speaks Singer knows the SDK, only the emulator its server."""
    for distribution, parts in RESERVED.items():
        if any(within(name, (distribution,)) for name in module.imports):
            assert within(module.name, parts), f"{module.name} imports {distribution}"


@every_module
def test_pure_modules_stay_pure(module: Module) -> None:
    """Modules called pure can't reach a clock, chance, threads, the network or the log."""
    part = next((part for part in PURE if within(module.name, (part,))), None)
    if part is not None and module.name not in PURE[part]:
        assert not [name for name in module.imports if within(name, IMPURE)]


@every_module
def test_versions_of_the_api_are_apart(module: Module) -> None:
    """A version of the API is named in its folder and in one module; versions know no other."""
    named = {found[1] for name in module.imports if (found := VERSION.match(name))}
    own = VERSION.match(f"{PACKAGE}.{module.name}")
    if own:
        assert named <= {own[1]}
    elif module.name not in NAMES_VERSIONS:
        assert not named


@every_module
def test_delivery_knows_no_http(module: Module) -> None:
    """`delivery` has no HTTP status to compare with, no JSON of requests, no page size of its own."""
    if not within(module.name, ("delivery",)):
        return
    nodes = list(ast.walk(module.tree))
    compared = {each.value for node in nodes if isinstance(node, ast.Compare) for each in constants(node)}
    assert not [each for each in compared if type(each) is int and 100 <= each < 600]
    assert not [each.value for each in constants(module.tree) if isinstance(each.value, bytes) and each.value]
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert not [name for name in assigned if "page_size" in name.lower()]


def constants(tree: ast.AST) -> list[ast.Constant]:
    """Every literal inside a piece of syntax."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]


def full_name(module: Module) -> str:
    """A module's name with the package's."""
    return f"{PACKAGE}.{module.name}" if module.name else PACKAGE


def test_no_circles() -> None:
    """No module imports, over any others, itself; imports for types and inside functions count."""
    names = {full_name(module) for module in MODULES}
    edges = {full_name(module): targets(module, names) - {full_name(module)} for module in MODULES}
    circles = {name for name in names if name in reachable(name, edges)}
    assert not circles, f"in circles: {sorted(circles)}"


def targets(module: Module, names: set[str]) -> set[str]:
    """The modules of ours that one imports: of `from package import module` the module alone."""
    found: set[str] = set()
    for node in ast.walk(module.tree):
        source, *members = imported(node, module.name) or [""]
        found |= {member if member in names else source for member in members or [source]}
    return found & names


def reachable(name: str, edges: dict[str, set[str]]) -> set[str]:
    """Every name that one leads to, over any others."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        new = edges[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


@every_module
def test_reading_does_not_know_the_target(module: Module) -> None:
    """What reads Singer, and the sinks, never import the target that they serve."""
    if within(module.name, ("singer", "sinks")):
        assert f"{PACKAGE}.target" not in module.imports


@pytest.mark.parametrize("part", SEPARATE)
def test_separate_parts_do_not_import_each_other(part: str) -> None:
    """Modules that answer with values do not import each other."""
    (module,) = (module for module in MODULES if module.name == part)
    others = {f"{PACKAGE}.{other}" for other in SEPARATE if other != part}
    assert not others & set(module.imports)


@every_module
def test_nothing_prints(module: Module) -> None:
    """No module calls `print`: a stray line on standard output would corrupt the STATE stream."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    assert not [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


@every_module
def test_modules_say_why_they_exist(module: Module) -> None:
    """Every module begins with one sentence, and a name that says something."""
    first = (ast.get_docstring(module.tree) or "").split("\n\n")[0]
    assert re.search(r"[.!?]$", first), f"{module.name} begins with {first!r}"
    assert not set(module.name.split(".")) & set(FORBIDDEN_NAMES)


@every_module
def test_long_modules_explain_themselves(module: Module) -> None:
    """A module of more than 400 lines says in its docstring why it is long."""
    if len(module.text.splitlines()) > LONG_LINES:
        explanation = ast.get_docstring(module.tree) or ""
        assert "long because" in explanation.lower(), f"{module.name} is long without a reason"


def within_emulator() -> dict[str, set[str]]:
    """What every module of the emulator imports of it; imports for types and inside functions count."""
    modules = {module.name: module for module in MODULES if within(module.name, ("emulator",))}
    return {
        name: {each.removeprefix(f"{PACKAGE}.") for each in module.imports} & (set(modules) - {name})
        for name, module in modules.items()
    }


def test_emulator_has_no_import_circles() -> None:
    """No module of the emulator imports itself by way of others; `__init__`, which imports lazily, aside."""
    imports = {name: seen for name, seen in within_emulator().items() if name != "emulator"}
    while leaves := [name for name, seen in imports.items() if not seen & set(imports)]:
        for name in leaves:
            del imports[name]
    assert not imports, f"These import each other, or what does: {', '.join(sorted(imports))}"


# What the packages of the emulator may import of it.
EMULATOR_PACKAGES = {
    "emulator.assumptions": (),
    "emulator.state": ("emulator.state", "emulator.assumptions"),
    "emulator.serving": ("emulator.serving", "emulator.state", "emulator.assumptions"),
}


@pytest.mark.parametrize("part", EMULATOR_PACKAGES)
def test_emulator_packages_import_one_way(part: str) -> None:
    """State knows nothing of serving, serving nothing of the commands."""
    for name, seen in within_emulator().items():
        if within(name, (part,)):
            strangers = {each for each in seen if not within(each, EMULATOR_PACKAGES[part])}
            assert not strangers, f"{name} imports {', '.join(sorted(strangers))}"


def test_emulator_state_knows_no_http() -> None:
    """The emulator's state can't reach HTTP, and its page looks at what is emulated, not at the server."""
    for module in MODULES:
        if within(module.name, ("emulator.state", "emulator.assumptions")):
            assert not [
                each for each in module.imports if within(each, ("aiohttp", "jinja2", "http", "click"))
            ]
        if within(module.name, ("emulator.serving.pages",)):
            assert not [
                each for each in module.imports if within(each, (f"{PACKAGE}.emulator.serving.server",))
            ]


# Modules without a test module of their own name, and where they are tested instead, and why.
TESTED_ELSEWHERE = {
    # Protocols and plain values: whoever uses them shows what they are.
    "delivery.interfaces": "test_engine",
    "delivery.outcomes": "test_dispatcher",
    "destination.interfaces": "test_resources",
    # Modules that only a whole delivery exercises.
    "delivery.opening": "test_lost_answers",
    "delivery.posting": "test_dispatcher",
    # Parts of finding a destination, and the numbers of a version.
    "api.base": "test_v1_client",
    "api.limits": "test_settings",
    "api.v1.limits": "test_dialect",
    "api.v1.reading": "test_v1_wire",
    "api.v2.limits": "test_dialect",
    "api.v2.reading": "test_v2_wire",
    "destination.lists": "test_sources",
    "versions": "test_dialect",
    "destination.known_keys": "test_resources",
    "destination.titles": "test_resources",
    # What only the real command, or a reader of real lines, shows.
    "command": "test_end_to_end",
    "run": "test_end_to_end",
    "singer.reader": "test_target",
    "singer.validators": "test_sinks",
    # Halves of what another module's tests cover as one.
    "records.keywords": "test_schemas",
    "records.references": "test_schemas",
    "rehearsal.preview_lane": "test_preview",
    "rehearsal.preview_report": "test_preview",
    "rehearsal.tables": "test_check",
    "rehearsal.forgiving": "test_preview",
    "verification.databox": "test_verify",
    "verification.key_changes": "test_verify",
    "verification.lane": "test_verify",
    "verification.looking": "test_verify",
    "verification.moments": "test_normal",
    "verification.prints": "test_comparison",
    "verification.report": "test_verify",
    "verification.rules": "test_comparison",
    "verification.summing": "test_verify",
    "reports.durations": "test_progress",
    "reports.metrics": "test_summary",
    "reports.position": "test_progress",
    "reports.terminal": "test_progress",
    "settings.about": "test_settings",
    "settings.checks": "test_settings",
    "settings.files": "test_setting_files",
    "settings.mapping": "test_settings",
    "settings.reading": "test_settings",
    "settings.table": "test_settings",
    "settings.trees": "test_settings",
}


@every_module
def test_modules_have_tests_of_their_name(module: Module) -> None:
    """Every module has a test module of its own name, or is listed with the one that tests it.

    The emulator's are named after what they emulate.
    """
    *folders, name = module.name.split(".")
    if not name or name in {"__init__", "__main__", "emulator"} or "emulator" in folders or module.is_package:
        return
    own = {f"test_{name}", "_".join(["test", *folders[-1:], name])}
    there = {path.stem for path in Path(__file__).parent.glob("test_*.py")}
    assert (module.name in TESTED_ELSEWHERE) != bool(own & there), module.name
    assert TESTED_ELSEWHERE.get(module.name, next(iter(own & there), None)) in there


def test_listed_modules_exist() -> None:
    """The list of modules that are tested elsewhere names none that is gone."""
    assert TESTED_ELSEWHERE.keys() <= {module.name for module in MODULES}
