"""Layers and functions as zip files, without the SAM CLI: for the demo and the tests.

It runs the rules that ``sam build`` runs (the Makefile beside each, tools/build.mk), so what is tested is what is
deployed; on Linux with a Python of the runtime's version even byte for byte, which
``python -m tools.package .aws-sam/build`` checks. What has not changed is not built again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.template import ROOT, code_property, read

PACKAGES: Final = ROOT / "build" / "packages"
RULES: Final = Path("tools", "build.mk")
CHECKS_OF_PLATFORMS: Final = Path("layers", "relay", "conversion_relay", "sources", "custom")
_FORGET_AFTER_S: Final = 24 * 3600


class BuildFailed(RuntimeError):
    """A layer or function could not be built; the text says which, and what make said."""


@dataclass(frozen=True)
class Interpreter:
    """The Python that compiles, and in which the built code will run."""

    path: Path
    version: str  # such as 3.13

    @classmethod
    def at(cls, path: Path) -> Interpreter:
        """Ask the interpreter at ``path`` for its version."""
        asked = [str(path), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        return cls(path, subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())


@dataclass(frozen=True)
class Package:
    """The template's built resources: one zip file each, named by what it was made from."""

    template: dict[str, Any]
    zips: Mapping[str, Path]

    def template_in(self, bucket: str) -> dict[str, Any]:
        """The template with the code of each resource at ``s3://bucket/<name of its zip>``; nothing else is changed."""
        template = deepcopy(self.template)
        for name, zip_path in self.zips.items():
            resource = template["Resources"][name]
            resource["Properties"][code_property(resource)] = f"s3://{bucket}/{zip_path.name}"
        return template


def build(interpreter: Interpreter, tree: Path = ROOT) -> Package:
    """Build every layer and function of template.yaml for ``interpreter``; from the cache what has not changed.

    ``tree``: the sources, this project's own or a copy of another version.

    Raises:
        BuildFailed: when one cannot be built.
    """
    template = read(tree / "template.yaml")
    places = {
        name: tree / resource["Properties"][place]
        for name, resource in template["Resources"].items()
        if (place := code_property(resource))
    }
    PACKAGES.mkdir(parents=True, exist_ok=True)
    for unused in PACKAGES.glob("*.zip"):
        if time.time() - unused.stat().st_mtime > _FORGET_AFTER_S:
            unused.unlink(missing_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        zips = pool.map(lambda name: _zip(name, tree, places[name], interpreter), places)
        return Package(template, dict(zip(places, zips, strict=True)))


def _zip(name: str, tree: Path, folder: Path, interpreter: Interpreter) -> Path:
    settings = {
        "LAMBDA_PYTHON": str(interpreter.path),
        "LAMBDA_PYTHON_VERSION": interpreter.version,
        **({} if _runs_lambda_wheels() else {"PROCESSORS": ""}),
    }
    target = PACKAGES / f"{name}-{_digest(tree, folder, settings)}.zip"
    if target.exists():
        target.touch()
        return target
    with tempfile.TemporaryDirectory(dir=PACKAGES, prefix=f".{name}-") as scratch:
        artifacts = Path(scratch, "artifacts")
        made = subprocess.run(
            [
                "make",
                f"build-{name}",
                f"ARTIFACTS_DIR={artifacts}",
                *(f"{key}={value}" for key, value in settings.items()),
            ],
            cwd=folder,
            env={**os.environ, "MAKEFLAGS": ""},  # a make that called us must not pass its variables on
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise BuildFailed(f"{name} could not be built from {folder.relative_to(tree)}/:\n{made.stderr.strip()}")
        zipped = Path(scratch, "zip")
        _write_zip(zipped, artifacts)
        return zipped.replace(target)


def _runs_lambda_wheels() -> bool:
    return sys.platform == "linux" and platform.libc_ver()[0] == "glibc"


def _digest(tree: Path, folder: Path, settings: Mapping[str, str]) -> str:
    digest = hashlib.sha256(repr((settings["LAMBDA_PYTHON_VERSION"], settings.get("PROCESSORS"))).encode())
    digest.update(sysconfig.get_platform().encode() if "PROCESSORS" in settings else b"")
    checks = [tree / "tools" / "platforms.py", *_files(tree / CHECKS_OF_PLATFORMS)]
    for path in [tree / RULES, *(checks if (folder / "platforms").is_dir() else []), *_files(folder)]:
        digest.update(os.path.relpath(path, folder).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in sorted(folder.rglob("*")) if each.is_file() and "__pycache__" not in each.parts)


def _write_zip(target: Path, folder: Path) -> None:
    """The same bytes for the same files, whenever and wherever: no time stamps, one mode, sorted names."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(str(path.relative_to(folder)), (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            with path.open("rb") as source, archive.open(entry, "w") as copy:
                shutil.copyfileobj(source, copy)


def differing(package: Package, built_by_sam: Path) -> list[str]:
    """The resources of which ``sam build`` made something else, by logical id."""
    different = []
    for name, zip_path in package.zips.items():
        folder = built_by_sam / name
        with zipfile.ZipFile(zip_path) as archive:
            ours = {each: archive.read(each) for each in archive.namelist()}
        theirs = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        if ours != theirs:
            different.append(name)
    return different


def main(folder: str) -> int:
    """Compare with what ``sam build`` left in ``folder``; 1 when anything differs."""
    interpreter = Interpreter.at(Path(sys.executable))
    package = build(interpreter)
    if (
        not _runs_lambda_wheels()
        or f"python{interpreter.version}" != package.template["Globals"]["Function"]["Runtime"]
    ):
        print(
            f"Not compared with sam build: here Python {interpreter.version} on {sys.platform} is packaged for itself."
        )
        return 0
    if different := differing(package, Path(folder)):
        print(
            f"sam build makes something else than the demo and the tests run: {', '.join(different)}", file=sys.stderr
        )
        return 1
    print(f"sam build makes what the demo and the tests run, byte for byte: {', '.join(package.zips)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
