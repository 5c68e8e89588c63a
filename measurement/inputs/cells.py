"""What one cell of a file says: days, moments, numbers, amounts, ids. Pure functions of text; each raises `Unreadable`.

Cells may hold what nobody should see twice. No text of this module repeats one: where its form matters, `shape` shows
it with every letter as an `a` and every digit as a `9`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final
from zoneinfo import ZoneInfo

from conversion_relay import identity
from conversion_relay.money import EXPONENTS, LARGEST_AMOUNT
from measurement.settings import Settings

REMOVED: Final = "(e-mail address)"
"""In place of a text that held one."""
REMOVED_PHONE: Final = "(phone number)"
NOON: Final = time(12)


_EARLIEST, _LATEST = date(2000, 1, 1), date(2100, 1, 1)
_EMPTY: Final = frozenset({"", "--", "-", "(not set)", "null", "none", "nan", "n/a"})
_EMAIL: Final = re.compile(r"[^\s@<>,;:\"'()]+@[^\s@<>,;:\"'()]+\.[^\s@<>,;:\"'().]{2,}")
_PHONE: Final = re.compile(r"(?<!\w)\+[1-9](?:[ ().\-/]{0,2}\d){8,14}(?!\w)", re.ASCII)
"""As E.164 has it, with what people write between the digits. `shoes+20260901` is none: the plus joins two words."""
_ROUNDED: Final = re.compile(r"\d[.,]\d+E\+\d{1,2}", re.ASCII | re.IGNORECASE)
"""What Excel makes of a long number: 6.18421E+12."""
_ID: Final = re.compile(r"[\w.:/=#+~$-]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ISO_DAY: Final = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)", re.ASCII)
_LOCAL_DAY: Final = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", re.ASCII)
_MOMENT: Final = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d|\d{8}|\d{1,2}([./-])\d{1,2}\2\d{4}),?(?:[T ]+)"
    r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d{1,9}))?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d|[+-]\d\d))?",
    re.ASCII,
)
_EPOCH: Final = {10: Decimal(1000), 13: Decimal(1), 16: Decimal("0.001")}
_TRUE, _FALSE = frozenset({"true", "yes", "y", "1"}), frozenset({"false", "no", "n", "0"})
_EXACT: Final = Context(prec=200, rounding=ROUND_HALF_EVEN)


class Unreadable(ValueError):
    """A cell cannot be used: why, and what to do."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Format:
    """How numbers and times are written in an input, by its options."""

    zone: ZoneInfo | None = None
    dates: str = "iso"
    decimal: str = "."
    thousands: str = ""
    currency: str | None = None


def shape(cell: str) -> str:
    """What a cell looks like, without what it says: `99.99.9999`, `Aaaa Aaaaa`."""
    drawn = "".join(
        "9" if one.isdigit() else ("A" if one.isupper() else "a") if one.isalpha() else one for one in cell[:24]
    )
    drawn = _CONTROL.sub("?", drawn.encode("utf-8", "replace").decode())
    return f"»{drawn}{'…' if len(cell) > 24 else ''}«"


def is_empty(cell: str) -> bool:
    """Whether a cell holds nothing, in one of the ways in which exports write that."""
    return len(cell) < 12 and cell.strip().casefold() in _EMPTY


def text(cell: str) -> str:
    """A text on one line, at most 500 characters. Raises Unreadable: it is no text."""
    if cell.isascii() and cell.isprintable() and "  " not in cell:
        return cell.strip()[:500]
    try:
        cell.encode()
    except UnicodeEncodeError:
        raise Unreadable("it holds half a character", "Export the file anew") from None
    return " ".join(_CONTROL.sub(" ", cell).split())[:500]


def has_email(cell: str) -> bool:
    """Whether a text holds an e-mail address."""
    return "@" in cell and _EMAIL.search(cell) is not None


def has_phone(cell: str) -> bool:
    """Whether a text holds a phone number with its country, which begins with a plus."""
    return "+" in cell and _PHONE.search(cell) is not None


def order_id(cell: str) -> str:
    """An order's id. Raises Unreadable: it holds an e-mail address or a phone number, or is none."""
    value = text(cell).removeprefix("'")
    if has_email(value):
        raise Unreadable("it holds an e-mail address", "Name another column: an order id is no personal datum")
    if len(value) > 200:
        raise Unreadable("it is too long for an order id", "Name the column of the order ids")
    if has_phone(value):
        raise Unreadable("it holds a phone number", "Name another column: an order id is no personal datum")
    if _ROUNDED.fullmatch(value):
        raise Unreadable(
            f"{shape(value)} is an id that a spreadsheet has rounded",
            "Export it anew, and use the file before any spreadsheet has saved it",
        )
    return value


def person(cell: str) -> str:
    """Who: an id as it stands. An e-mail address or a phone number with its country becomes its digest, as the ledger
    and OpenAI have it; so does all else that is no id, such as a name."""
    value = text(cell)
    if "@" in value and (digest := identity.email(value)) is not None:
        return digest
    if value.startswith("+") and (digest := identity.phone(value)) is not None:
        return digest
    if _ID.fullmatch(value) and "@" not in value:
        return value
    return hashlib.sha256(value.casefold().encode()).hexdigest()


def day(cell: str, written: Format) -> date:
    """A day: 2026-09-30, 20260930, or as `dates` says. Raises Unreadable."""
    found = _ISO_DAY.fullmatch(cell)
    try:
        if found and (cell.isdigit() or cell.count("-") == 2):
            return _within(date(int(found[1]), int(found[2]), int(found[3])), cell)
        if local := _LOCAL_DAY.fullmatch(cell):
            if written.dates == "iso":
                raise Unreadable(
                    f"{shape(cell)} is a day with day or month first",
                    'Say which: dates = "day first" or dates = "month first"',
                )
            first, second = int(local[1]), int(local[3])
            month, of_month = (second, first) if written.dates == "day first" else (first, second)
            return _within(date(int(local[4]), month, of_month), cell)
    except ValueError as problem:
        if isinstance(problem, Unreadable):
            raise
        advice = "Correct it" if found else f'Correct it, or the input\'s dates = "{written.dates}"'
        raise Unreadable(f"{shape(cell)} is no day of the calendar", advice) from None
    raise Unreadable(f"{shape(cell)} is no day", "Write it as 2026-09-30 or 20260930")


def _within(value: date, cell: str) -> date:
    if not _EARLIEST <= value < _LATEST:
        raise Unreadable(f"{shape(cell)} is not between 2000 and 2099", "Correct it")
    return value


def moment(cell: str, written: Format, zone: ZoneInfo | None, noon_in: ZoneInfo | None = None) -> int:
    """A time as Unix milliseconds.

    It needs its own offset, or ``zone``. Of a local time that a clock shows twice in autumn the earlier counts; one
    that it never shows in spring is refused. With ``noon_in`` a day will do. Digits alone are seconds, milliseconds or
    microseconds since 1970, by their number. Raises Unreadable.
    """
    if cell.isascii() and cell.isdigit() and len(cell) in _EPOCH:
        return _between(int(int(cell) * _EPOCH[len(cell)]), cell)
    found = _MOMENT.fullmatch(cell)
    if found is None:
        if noon_in is not None:
            return milliseconds(datetime.combine(day(cell, written), NOON, noon_in))
        if _ISO_DAY.fullmatch(cell) or _LOCAL_DAY.fullmatch(cell):
            raise Unreadable(f"{shape(cell)} is a day without a time", "Export it with the time")
        raise Unreadable(f"{shape(cell)} is no time", "Write it as 2026-09-30T14:05:00Z")
    hour = int(found["hour"])
    if found["half"]:
        if not 1 <= hour <= 12:
            raise Unreadable(f"{shape(cell)} is no time of a day", "Correct it")
        hour = hour % 12 + (12 if found["half"] in "Pp" else 0)
    try:
        of_day = time(
            hour, int(found["minute"]), int(found["second"] or 0), int((found["part"] or "0").ljust(6, "0")[:6])
        )
    except ValueError:
        raise Unreadable(f"{shape(cell)} is no time of a day", "Correct it") from None
    local = datetime.combine(day(found["day"], written), of_day)
    if found["zone"]:
        return _between(milliseconds(local.replace(tzinfo=UTC)) - _offset(found["zone"], cell), cell)
    if zone is None:
        raise Unreadable(
            "its time zone is missing", 'Export it with one, or say which it is: time_zone = "America/New_York"'
        )
    placed = local.replace(tzinfo=zone)
    if placed.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise Unreadable(
            f"no clock in {zone.key} ever showed this time, for it was put forward",
            "Is that the time zone of this file? Correct time_zone",
        )
    return _between(milliseconds(placed), cell)


def _offset(zone: str, cell: str) -> int:
    if zone in ("Z", "UTC", "GMT"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 15 or minutes > 59:
        raise Unreadable(f"{shape(cell)} has no offset that is in use", "Correct it")
    return (-1 if zone[0] == "-" else 1) * (hours * 60 + minutes) * 60_000


def milliseconds(at: datetime) -> int:
    """Unix milliseconds of a time with its zone."""
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(milliseconds=1)


def _between(at_ms: int, cell: str) -> int:
    if not 946_684_800_000 <= at_ms < 4_102_444_800_000:
        raise Unreadable(f"{shape(cell)} is not between 2000 and 2099", "Correct it")
    return at_ms


def day_of(at_ms: int, zone: ZoneInfo) -> date:
    """The day of a moment in a time zone."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(zone).date()


def number(cell: str, written: Format) -> Decimal:
    """A number, exactly. Raises Unreadable: it is none, or is written in a way that is not declared."""
    plain_digits = cell
    if written.thousands:
        mark = re.escape(written.thousands)
        point = re.escape(written.decimal)
        if written.thousands in cell and not re.fullmatch(rf"-?\d{{1,3}}(?:{mark}\d{{3}})+(?:{point}\d*)?", cell):
            raise Unreadable(f"{shape(cell)} is no number with {written.thousands!r} between thousands", "Correct it")
        plain_digits = cell.replace(written.thousands, "")
    if written.decimal == ",":
        if "." in plain_digits:
            raise Unreadable(
                f"{shape(cell)} has a point, though decimal is a comma", 'Say thousands = "." if that is what it is'
            )
        plain_digits = plain_digits.replace(",", ".")
    if not re.fullmatch(r"-?(?:\d{1,24}(?:\.\d{0,24})?|\.\d{1,24})", plain_digits, re.ASCII):
        advice = "Write digits alone, with a point before decimals"
        if "," in plain_digits:
            advice = 'Say what the comma is: decimal = "," or thousands = ","'
        raise Unreadable(f"{shape(cell)} is no number", advice)
    try:
        return Decimal(plain_digits)
    except InvalidOperation:
        raise Unreadable(f"{shape(cell)} is no number", "Write digits alone") from None


def whole(cell: str, written: Format) -> int:
    """A whole number from 0 on. Raises Unreadable."""
    value = number(cell, written)
    if value < 0:
        raise Unreadable(f"{shape(cell)} is below 0", "Correct it")
    if value != value.to_integral_value():
        raise Unreadable(f"{shape(cell)} is no whole number", "A count has no fraction: is this the right column?")
    if value > LARGEST_AMOUNT:
        raise Unreadable(f"{shape(cell)} is too large", "Correct it")
    return int(value)


def flag(cell: str) -> bool:
    """Yes or no. Raises Unreadable."""
    said = cell.casefold()
    if said in _TRUE or said in _FALSE:
        return said in _TRUE
    raise Unreadable(f"{shape(cell)} is neither yes nor no", "Write true or false")


def minor_units(amount: Decimal, currency: str | None, settings: Settings) -> int:
    """An amount as whole minor units of the report's currency, half to even. Raises Unreadable: there is no rate."""
    if currency is None:
        raise Unreadable(
            "its currency is missing", f'Add a column currency, or say which it is: currency = "{settings.currency}"'
        )
    rate = Decimal(1) if currency == settings.currency else settings.rates.get(currency)
    if rate is None:
        raise Unreadable(
            f"it is in {currency}, which has no rate",
            f"Say under [rates] what 1 {currency} is worth in {settings.currency}: {currency} = 1.08",
        )
    if amount < 0:
        raise Unreadable("the amount is below 0", "Take refunds and credits out of the file")
    places = EXPONENTS[settings.currency]
    units = _EXACT.multiply(amount, rate).scaleb(places, context=_EXACT).quantize(Decimal(1), context=_EXACT)
    if units > LARGEST_AMOUNT:
        raise Unreadable("the amount is too large", "Correct it")
    return int(units)
