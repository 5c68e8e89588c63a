"""Who may import whom: the arrows of the design, held against every import statement and against a fresh interpreter.

::

    functions ─▶ receive, sender, privacy … ─▶ sources, ledger, queue, openai … ─▶ the pure rules
"""

import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAYER = ROOT / "layers" / "relay"
PACKAGE = "conversion_relay"

# Every module of the layer by its place in the design. A new one has to be put somewhere, which is the point.
PLACES = {
    "pure": {
        "circuit", "click", "click_memory", "delivery", "event", "event_bus", "identity", "money", "packing", "payload",
        "phone_regions", "secrets", "settings", "timestamps",
    },
    "aws": {"aws_json"},
    "adapters": {"ledger", "openai", "parameters", "parking", "queue", "stripe_api"},
    "paths": {"click_endpoint", "fetch", "function_url", "isolation", "privacy", "receive", "sender"},
    "reports": {"journal", "observability"},
    "wiring": {"wiring"},
}  # fmt: skip
MAY_IMPORT = {
    "pure": {"pure"},
    "sources": {"pure", "sources"},
    "aws": set(),
    "adapters": {"pure", "aws"},
    "paths": {"pure", "adapters", "sources", "paths"},
    "reports": {"pure", "paths"},
    "wiring": {"pure", "aws", "adapters", "paths", "reports"},
    "functions": {"wiring", "pure", "aws", "adapters", "paths", "reports", "sources"},
}
BESIDE_THE_STANDARD_LIBRARY = {"pydantic"}
"""What the pure rules and the sources may use."""
BESIDE_THOSE = {"sources.custom": {"jmespath", "standardwebhooks"}}
"""What one source alone may use besides. A platform's file names its fields in JMESPath, which is in the layer through
Powertools, and a platform may sign as the Standard Webhooks do, whose library is the reference for that. Both are
loaded when a platform needs them (see docs/decisions.md).
"""
WITH_PYDANTIC = {"annotated_types", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}


def modules() -> dict[str, Path]:
    """Every module of the layer, by its name below the package: ``event``, ``sources.shopify.orders``."""
    found = {}
    for path in sorted((LAYER / PACKAGE).rglob("*.py")):
        parts = path.relative_to(LAYER / PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    del found[""]
    return found


MODULES = modules()
FUNCTIONS = {path.parent.name: path for path in sorted((ROOT / "functions").glob("*/app.py"))}


def place_of(module: str) -> str:
    if module.partition(".")[0] == "sources":
        return "sources"
    (place,) = [place for place, names in PLACES.items() if module in names]
    return place


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of everything a file imports, wherever it does: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def own_imports(path: Path) -> set[str]:
    """The modules of the layer that a file imports."""
    found = set()
    for name in imports_of(path):
        package, _, rest = name.partition(".")
        if package == PACKAGE:
            # "conversion_relay.event.parse" is the module event; "conversion_relay.sources.shopify" a package.
            found.add(max((each for each in MODULES if f"{rest}.".startswith(f"{each}.")), key=len))
    return found


def test_every_module_has_a_place() -> None:
    placed = set().union(*PLACES.values())

    assert {name for name in MODULES if name.partition(".")[0] != "sources"} == placed
    assert sum(map(len, PLACES.values())) == len(placed)


@pytest.mark.parametrize("module", [name for name in MODULES if place_of(name) in ("pure", "sources")])
def test_pure_rules_and_sources_import_the_standard_library_pydantic_and_each_other(module: str) -> None:
    packages = {name.partition(".")[0] for name in imports_of(MODULES[module])}
    besides = BESIDE_THOSE.get(".".join(module.split(".")[:2]), set())

    assert packages - sys.stdlib_module_names <= BESIDE_THE_STANDARD_LIBRARY | besides | {PACKAGE}


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_one_way(module: str) -> None:
    allowed = MAY_IMPORT[place_of(module)]

    assert {each for each in own_imports(MODULES[module]) if place_of(each) not in allowed} == set()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_import_the_layer_and_not_each_other(function: str) -> None:
    packages = {name.partition(".")[0] for name in imports_of(FUNCTIONS[function])}

    assert packages - sys.stdlib_module_names <= {PACKAGE, "boto3", "requests"}
    assert own_imports(FUNCTIONS[function])


def test_no_circles() -> None:
    arrows = {name: own_imports(path) - {name} for name, path in MODULES.items()}
    while free := {name for name, targets in arrows.items() if not targets & arrows.keys()}:
        arrows = {name: targets for name, targets in arrows.items() if name not in free}

    # A package and its own modules may need one another: the package is their front door.
    assert {name for name in arrows if name.partition(".")[0] != "sources"} == set()


@pytest.mark.parametrize("module", MODULES)
def test_the_layer_knows_nothing_of_tools_and_tests(module: str) -> None:
    packages = {name.partition(".")[0] for name in imports_of(MODULES[module])}

    assert packages.isdisjoint({"tools", "tests", "functions", "pytest"})


@pytest.mark.parametrize(
    "module",
    sorted(
        name for name in MODULES if place_of(name) == "pure" or (place_of(name) == "sources" and name.count(".") < 2)
    ),
)
def test_a_pure_module_alone_loads_neither_aws_nor_http(module: str) -> None:
    # Given a fresh interpreter, when it imports the module
    program = (
        "import json, sys; before = set(sys.modules); "
        f"import {PACKAGE}.{module}; print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(LAYER)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    # Then nothing but the standard library, pydantic and our own is there
    packages = {name.partition(".")[0] for name in json.loads(loaded) if not name.startswith("_sysconfigdata")}
    assert packages - sys.stdlib_module_names - WITH_PYDANTIC == {PACKAGE}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_is_wiring(function: str) -> None:
    text = FUNCTIONS[function].read_text(encoding="utf-8")
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = [each for each in tokenize.generate_tokens(io.StringIO(text).readline) if each.type not in layout]

    assert len({each.start[0] for each in tokens}) <= 60
    defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert defined == ["handler"]
