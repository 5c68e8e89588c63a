"""samconfig.toml, as far as the tools need it: which stack and region an ``ENV`` of the Makefile is."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.template import ROOT

SAMCONFIG: Final = ROOT / "samconfig.toml"


class UnknownEnvironment(Exception):
    """There is no such section; the text names those that there are."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A section of samconfig.toml. ``region`` and ``profile`` are None where AWS's own settings decide."""

    stack: str
    region: str | None = None
    profile: str | None = None


def environment(name: str, path: Path = SAMCONFIG) -> Environment:
    """The stack that ``make deploy ENV=name`` deploys.

    Raises:
        UnknownEnvironment: samconfig.toml says nothing about it.
    """
    sections = tomllib.loads(path.read_text(encoding="utf-8"))
    tables = {key: each for key, each in sections.items() if isinstance(each, dict)}  # version = 0.1 is none
    known = {key: each["deploy"]["parameters"] for key, each in tables.items() if "deploy" in each}
    if name not in known or "stack_name" not in known[name]:
        raise UnknownEnvironment(
            f"{path.name} has no section [{name}.deploy.parameters] with a stack_name; ENV is one of {', '.join(known)}"
        )
    return Environment(known[name]["stack_name"], known[name].get("region"), known[name].get("profile"))
