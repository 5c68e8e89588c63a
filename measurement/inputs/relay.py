"""What the inputs of the relay and of OpenAI have in common: which files, which stack, which currency, which day."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from conversion_relay.money import EXPONENTS, LARGEST_AMOUNT
from measurement.problems import BadInput
from measurement.settings import Input, Settings

if TYPE_CHECKING:
    from tools.deployment import Deployment

Rows = Iterator[tuple[str, Mapping[str, Any]]]
"""Rows of tables, each with its table's name."""

NOTE: Final = "(note)"
"""In place of a table's name: the row is `{"note": …}`, a sentence for the person."""
STACK_OPTIONS: Final = frozenset({"stack", "region", "profile"})
_EXACT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)


def note(sentence: str) -> tuple[str, Mapping[str, Any]]:
    """A sentence for the person, among the rows."""
    return NOTE, {"note": sentence}


def wrong(entry: Input, reason: str, advice: str) -> NoReturn:
    """Raise BadInput about an input's own settings."""
    raise BadInput("measurement.toml", f"[[input]] {entry.kind}: {reason}", advice, entry.line)


def know(entry: Input, allowed: frozenset[str]) -> None:
    """Raise BadInput where an input says what its kind does not know."""
    unknown = sorted(set(entry.options) - allowed - {"kind"})
    if unknown:
        wrong(entry, f"{unknown[0]} is no option of it", f"It takes: {', '.join(sorted(allowed))}.")


def places(entry: Input, settings: Settings) -> list[Path]:
    """The files and folders that an input names with ``file`` or ``files``; `*` is several.

    Raises:
        BadInput: one is not there, or is a file without anything in it.
    """
    given = entry.options.get("files", entry.options.get("file"))
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(each, str) and each for each in names):
        wrong(entry, "names no file", 'Write file = "NAME", a path from the folder of the settings.')
    found: list[Path] = []
    for name in names:
        path = settings.folder / name
        root = Path(path.anchor)
        fitting = [path] if path.exists() else sorted(root.glob(str(path.relative_to(root))))
        if not fitting:
            wrong(entry, f"there is no {name}", "Correct the name, or take the input out.")
        found += (each for each in fitting if each not in found)
    for path in found:
        if path.is_file() and not path.stat().st_size:
            raise BadInput(path.name, "it is empty", "Export it anew, or take the input out.")
    return found


def content(path: Path) -> bytes:
    """What is in a file. Raises BadInput: it is a folder, or may not be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        advice = "Name the files in it: NAME/*." if path.is_dir() else "Look at its rights."
        raise BadInput(path.name, f"it cannot be read ({problem.strerror})", advice) from None


def option(entry: Input, name: str, default: str = "") -> str:
    """A text among the options. Raises BadInput: it is something else."""
    given = entry.options.get(name, default)
    if not isinstance(given, str):
        wrong(entry, f"{name} is no text", f'Write {name} = "…".')
    return given


def day_of(at_ms: int, settings: Settings) -> date:
    """The day in the report's time zone of a moment."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(settings.time_zone).date()


def first_ms(settings: Settings) -> int:
    """The beginning of the report's first day."""
    return int(datetime.combine(settings.first, datetime.min.time(), settings.time_zone).timestamp() * 1000)


def worth(amount: Decimal, currency: str, settings: Settings, where: str) -> int:
    """An amount in major units of a currency as minor units of the report's, half to even.

    Raises:
        BadInput: there is no rate for the currency, or it is none. ``where`` says whose amount it is.
    """
    rate = Decimal(1) if currency == settings.currency else settings.rates.get(currency)
    if rate is None:
        raise BadInput(
            where,
            f"an amount is in {currency}, which has no rate",
            f"Say under [rates] what 1 {currency} is worth in {settings.currency}, such as {currency} = 1.08.",
        )
    units = _EXACT.multiply(amount, rate).scaleb(EXPONENTS[settings.currency], context=_EXACT)
    return min(int(units.quantize(Decimal(1), context=_EXACT)), LARGEST_AMOUNT)


def of_minor(amount: int, currency: str, settings: Settings, where: str) -> int:
    """The same of an amount in minor units of its currency, as events hold it."""
    if currency == settings.currency:
        return amount
    return worth(Decimal(amount).scaleb(-EXPONENTS[currency], context=_EXACT), currency, settings, where)


def deployment_of(entry: Input) -> Deployment:
    """The stack that an input names; without a name $RELAY_STACK, else the relay that ``make up`` runs.

    Raises:
        BadInput: there is none.
    """
    import os

    from tools import deployment

    chosen = argparse.Namespace(
        stack=option(entry, "stack") or os.environ.get(deployment.STACK_VARIABLE, ""),
        region=option(entry, "region") or None,
        profile=option(entry, "profile") or None,
    )
    with asking(entry):
        return deployment.chosen(chosen)


@contextmanager
def asking(entry: Input) -> Iterator[None]:
    """Say as BadInput what AWS does not answer meanwhile."""
    from botocore.exceptions import BotoCoreError, ClientError

    from conversion_relay.ledger import LedgerUnavailable
    from tools.deployment import NoDeployment
    from tools.readings import Unreadable

    try:
        yield
    except NoDeployment as problem:
        wrong(entry, str(problem).partition(". ")[0], 'Write stack = "NAME" (and region, profile), or start "make up".')
    except Unreadable as problem:
        wrong(entry, str(problem), "Give your AWS credentials that leave, or wait until AWS answers, and run it again.")
    except ClientError as problem:
        code = problem.response.get("Error", {}).get("Code", "unknown")
        wrong(
            entry,
            f"AWS refused {problem.operation_name}: {code}",
            "Compare stack, region and profile, and what your AWS credentials may read.",
        )
    except BotoCoreError as problem:
        wrong(entry, f"AWS could not be asked ({type(problem).__name__})", "Log in to AWS, or name a profile.")
    except LedgerUnavailable as problem:
        wrong(entry, str(problem), "A newer version of the relay may have written it: update these tools.")
