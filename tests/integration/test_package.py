"""What is shipped to Lambda: bytecode for its Python, wheels for both processors, nothing of this machine."""

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools.local_aws import ENVIRONMENT, make_environment
from tools.package import Interpreter, Package, build
from tools.template import ROOT

UNCHECKED_HASH = 0b01
NAMES = [
    "DependenciesLayer",
    "RelayLayer",
    "ShopifyReceiver",
    "StripeReceiver",
    "Fetch",
    "CallsReceiver",
    "ClickMemory",
    "CustomReceiver",
    "Outbox",
    "Sender",
    "Privacy",
]


@pytest.fixture(scope="module")
def interpreter() -> Interpreter:
    make_environment(print)
    return Interpreter.at(ENVIRONMENT / "bin" / "python")


@pytest.fixture(scope="module")
def package(interpreter: Interpreter) -> Package:
    return build(interpreter)


def test_everything_that_the_template_builds_is_built(package: Package) -> None:
    assert sorted(package.zips) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_module_is_shipped_with_bytecode_that_lambda_uses(
    package: Package, interpreter: Interpreter, name: str
) -> None:
    tag = interpreter.version.replace(".", "")
    with zipfile.ZipFile(package.zips[name]) as archive:
        names = set(archive.namelist())
        modules = {each for each in names if each.endswith(".py")}
        assert modules
        for module in modules:
            folder, _, file = module.rpartition("/")
            compiled = f"{folder}/__pycache__/{file.removesuffix('.py')}.cpython-{tag}.pyc".lstrip("/")
            assert compiled in names
            flags = int.from_bytes(archive.read(compiled)[4:8], "little")
            assert flags == UNCHECKED_HASH, f"{compiled} would be checked against a time stamp that zips lose"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_the_machine_that_built_it_is_shipped(package: Package, name: str) -> None:
    here = str(ROOT).encode()
    with zipfile.ZipFile(package.zips[name]) as archive:
        assert [each for each in archive.namelist() if here in archive.read(each)] == []


def test_the_layer_fits_both_processors(package: Package) -> None:
    with zipfile.ZipFile(package.zips["DependenciesLayer"]) as archive:
        cores = [each for each in archive.namelist() if "_pydantic_core" in each and each.endswith(".so")]
        assert not [each for each in archive.namelist() if each.startswith(("python/boto", "python/bin/"))]
        unpacked = sum(each.file_size for each in archive.infolist())
    assert {each.split("-", 2)[2] for each in cores} == {"x86_64-linux-gnu.so", "aarch64-linux-gnu.so"}
    assert unpacked < 40_000_000


def test_the_runtime_s_python_is_the_template_s(package: Package) -> None:
    runtime = package.template["Globals"]["Function"]["Runtime"]
    assert f"LAMBDA_PYTHON_VERSION ?= {runtime.removeprefix('python')}\n" in Path(ROOT, "tools/build.mk").read_text()


def test_two_builds_in_two_places_are_the_same_bytes(interpreter: Interpreter, tmp_path: Path) -> None:
    trees = []
    for place in ("here", "there"):
        target = tmp_path / place / "artifacts"
        _make("RelayLayer", target, LAMBDA_PYTHON=interpreter.path, LAMBDA_PYTHON_VERSION=interpreter.version)
        trees.append({p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()})
    assert trees[0] == trees[1]


def test_another_python_is_refused_with_a_sentence(interpreter: Interpreter, tmp_path: Path) -> None:
    made = _make("RelayLayer", tmp_path, check=False, LAMBDA_PYTHON=interpreter.path, LAMBDA_PYTHON_VERSION="3.9")
    assert made.returncode != 0
    assert "No Python 3.9 found to compile for the Lambda runtime" in made.stderr


def test_bytecode_made_here_loads(package: Package, interpreter: Interpreter, tmp_path: Path) -> None:
    with zipfile.ZipFile(package.zips["RelayLayer"]) as archive:
        archive.extractall(tmp_path)
    code = "import conversion_relay.money as m; print(m.__cached__)"
    shown = subprocess.run(
        [interpreter.path, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{tmp_path}/python"},
    )
    assert shown.stdout.strip().startswith(f"{tmp_path}/python/conversion_relay/__pycache__/")


def _make(name: str, target: Path, *, check: bool = True, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", f"build-{name}", f"ARTIFACTS_DIR={target}", *(f"{key}={value}" for key, value in settings.items())],
        cwd=ROOT / "layers" / "relay",
        env={**os.environ, "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=check,
    )
