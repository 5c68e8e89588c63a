"""From a payload to a conversion, or to the answer to a survey, as the platform's file says."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from conversion_relay import click, click_memory, identity, money, payload, timestamps
from conversion_relay.click_memory import Recalled
from conversion_relay.delivery import Conversion, Delivery, Ignored, Memory, NotUnderstood, Recall, Remember
from conversion_relay.event import DATA_TYPE
from conversion_relay.settings import ActionSource, Settings
from conversion_relay.sources import calls, consent, envelope, person
from conversion_relay.sources.consent import Consent
from conversion_relay.sources.custom import format as form
from conversion_relay.sources.custom.expression import Reader
from conversion_relay.sources.custom.request import payloads

if TYPE_CHECKING:
    from conversion_relay.sources.custom.format import Platform

LONGEST_ID: Final = 150
_ID: Final = re.compile(rf"[^\s@\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]{{1,{LONGEST_ID}}}")
_YES: Final = frozenset({"true", "yes", "y", "1", "on"})
_NO: Final = frozenset({"false", "no", "n", "0", "off"})
_MOST_LINES: Final = 1000
_ORDER_ID: Final = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9#:/_.-]{1,150}")
"""An order's id has a digit in it, and nothing that an address, a number with its country code or a sentence has."""
OTHER_ANSWER: Final = "(other)"
"""What is kept of an answer that is none of the file's options."""


def normalize(
    name: str, platform: Platform, delivery: Delivery, settings: Settings, now_ms: int, recall: Recall
) -> Conversion | Remember | Ignored:
    """What a verified delivery becomes. Several events in one are recorded together, or parked together.

    Raises:
        NotUnderstood: it counts by the platform's file, but lacks what a conversion needs.
    """
    held = payloads(delivery, platform.body)
    if platform.survey is not None:
        return _survey(name, platform, platform.survey, [Reader(each, delivery) for each in held], settings, recall)
    says = _conversion_of(platform)
    written = held if platform.body == "json" else payloads(delivery, platform.body, keep_plus=True)
    results = [
        _Mapping(
            name,
            platform,
            says,
            Reader(each, delivery),
            Reader(as_written, delivery, keep_plus=True),
            settings,
            now_ms,
            recall,
        ).result()
        for each, as_written in zip(held, written, strict=True)
    ]
    conversions: dict[str, Conversion] = {}
    for each in results:
        if isinstance(each, Conversion):
            conversions.setdefault(each.key, each)
    if conversions:
        first, *others = conversions.values()
        return replace(first, also=tuple(others))
    return next((each for each in results if isinstance(each, Ignored)), Ignored("no_events", "the list is empty"))


def subjects(name: str, platform: Platform, delivery: Delivery) -> Sequence[str]:
    """The ledger subjects that the events in a verified delivery would have; none where the file finds no id."""
    found: list[str] = []
    with contextlib.suppress(NotUnderstood):
        for each in payloads(delivery, platform.body):
            with contextlib.suppress(NotUnderstood):
                reader = Reader(each, delivery)
                if platform.survey is not None:
                    found.append(_answer_key(name, platform.survey, reader))
                else:
                    found.append(_subject(name, _conversion_of(platform), reader))
    return tuple(dict.fromkeys(found))


def _conversion_of(platform: Platform) -> form.Conversion:
    assert platform.conversion is not None  # noqa: S101 -- the format demands one of the two
    return platform.conversion


def _subject(name: str, says: form.Conversion, reader: Reader) -> str:
    parts = [_identifier(reader, says.id, "id")]
    if says.account is not None:
        parts.insert(0, _identifier(reader, says.account, "account"))
    subject = ":".join([name, *parts])
    if len(subject) > LONGEST_ID + len(name) + 1:
        raise NotUnderstood("id_unusable", f"account and id have over {LONGEST_ID} characters together")
    return subject


def _survey(
    name: str,
    platform: Platform,
    says: form.Survey,
    readers: Sequence[Reader],
    settings: Settings,
    recall: Recall,
) -> Remember | Ignored:
    """The answer to a survey: a memory that lives as long as a conversion, and no event.

    Only words of the file are kept of what was answered (property P7). An answer that comes again is known; one that
    was changed takes the place of the first.

    Raises:
        NotUnderstood: there are several in one delivery, or there is no id or time where the file says.
    """
    if len(readers) != 1:
        raise NotUnderstood("several_answers", f"the delivery holds {len(readers)} answers; one is kept at a time")
    (reader,) = readers
    if (refused := _refused(platform, reader)) is not None:
        return refused
    texts = [each for each in map(plain_text, reader.values(says.answer)) if each is not None]
    if not texts:
        return Ignored("no_answer", "the question was not answered, or not yet")
    options = {each.strip().lower(): each for each in says.options}
    answer = next((options[each] for each in map(str.lower, texts) if each in options), OTHER_ANSWER)
    at_ms = moment(_first_filled(reader, says.time.from_), says.time.format, says.time.zone)
    if at_ms is None:
        raise NotUnderstood("time_missing", f"there is no time of the format {says.time.format} where the file says")
    orders = map(plain_text, reader.values(says.order_id))
    order_id = next((each for each in orders if each is not None and _ORDER_ID.fullmatch(each)), None)
    facts = envelope.without_none({"answer": answer, "at_ms": at_ms, "order_id": order_id})
    key = f"survey#{_answer_key(name, says, reader)}"
    known = recall(f"memory#{key}")
    version = f"{at_ms}:{answer}:{order_id or ''}"
    if known is not None and known.get("version") == version:
        return Ignored("answer_known", "this answer is kept already")
    replaces = None if known is None else str(known["version"])
    memory = Memory(key, facts, version, settings.ledger_ttl_days, replaces)
    return Remember(memory, "survey_answer", "an answer to a survey is kept for the report; nothing is sent")


def _answer_key(name: str, says: form.Survey, reader: Reader) -> str:
    return f"{name}:{_identifier(reader, says.id, 'id')}"


def _refused(platform: Platform, reader: Reader) -> Ignored | None:
    """Why a payload does not count by the file's filters; None where it does."""
    failed = (each for each in platform.filters if not truth(reader.value(each.that)))
    return next((Ignored(each.reason, each.detail) for each in failed), None)


def _first_filled(reader: Reader, expressions: str | Sequence[str]) -> Any:
    return next((each for each in reader.values(expressions) if plain_text(each) is not None), None)


def _identifier(reader: Reader, expression: str, what: str) -> str:
    value = payload.identifier(reader.value(expression))
    if value is None:
        raise NotUnderstood(f"{what}_missing", f"there is no {what} where the file says it stands")
    if not _ID.fullmatch(value):
        raise NotUnderstood(f"{what}_unusable", f"the {what} has blanks or an @ in it, or over {LONGEST_ID} characters")
    return value


@dataclass(frozen=True, slots=True)
class _Mapping:
    """One payload under one platform's file."""

    name: str
    platform: Platform
    says: form.Conversion
    reader: Reader
    as_written: Reader
    """The same, but in a query or a form each + is a plus: for references."""
    settings: Settings
    now_ms: int
    recall: Recall

    def result(self) -> Conversion | Ignored:
        if (refused := _refused(self.platform, self.reader)) is not None:
            return refused
        event_type = self._type()
        if event_type is None:
            return Ignored("type_not_mapped", "its value is not in the table of event types")
        action_source = self._action_source()
        if self.says.call is not None and action_source == "phone_call":
            return self._call(self.says.call, event_type)
        timestamp_ms = envelope.fresh(self._time(), self.now_ms)
        if timestamp_ms is None:
            return Ignored("stale_event", "it lies outside the 7 days that the API accepts")
        recalled, said = self._recalled(), self._consent()
        source_url = self._source_url(recalled)
        if action_source == "web" and source_url is None and said.state != "denied":
            raise NotUnderstood(
                "source_url_missing",
                "a web event needs a page: set the parameter SiteOrigin to your site, or map source_url",
            )
        return envelope.conversion(
            event_type,
            subject=self._subject(),
            timestamp_ms=timestamp_ms,
            action_source=action_source,
            source_url=source_url,
            user=self._user(),
            data=self._data(event_type),
            oppref=self._reference(self.says.oppref, click.oppref_from_url),
            obref=self._reference(self.says.obref, click.obref_from_url),
            pixel_id=self._first(self.says.pixel_event_id),
            settings=self.settings,
            match_key_required=action_source == "phone_call",
            custom_event_name=self.says.custom_event_name if event_type == "custom" else None,
            consent=said,
            recalled=recalled,
        )

    def _call(self, says: form.Call, event_type: str) -> Conversion | Ignored:
        repeat = self._truth(says.repeat)
        result = calls.lead(
            calls.Call(
                subject=self._subject(),
                started_ms=self._time_or_none(),
                inbound=self._truth(says.inbound),
                over=self._truth(says.over),
                answered=self._truth(says.answered),
                talk_s=self._seconds(says.seconds),
                first_time=self._truth(says.first_time) if repeat is None else not repeat,
                spam=self._truth(says.spam),
                voicemail=self._truth(says.voicemail),
                verdict=self._verdict(says.verdict),
                user=self._user(),
                oppref=self._reference(self.says.oppref, click.oppref_from_url),
                obref=self._reference(self.says.obref, click.obref_from_url),
                pixel_id=self._first(self.says.pixel_event_id),
                consent=self._consent(),
                recalled=self._recalled(),
                data=self._data(event_type),
                event_type=event_type,
            ),
            self.settings,
            self.now_ms,
        )
        if isinstance(result, Ignored) and result.reason == "stale_event":
            self._time()  # says so if there is no time at all, which is a mistake in the file and not an old call
        return result

    # What it is, and when ---------------------------------------------------------------------------------------------

    def _type(self) -> str | None:
        says = self.says.type
        if isinstance(says, str):
            return says
        value = plain_text(self.reader.value(says.from_))
        return says.map.get(value) if value is not None else None

    def _action_source(self) -> str:
        says = self.says.action_source
        if isinstance(says, str):
            return says
        value = plain_text(self.reader.value(says.from_)) or ""
        known = says.map if says.map else {each: each for each in get_args(ActionSource)}
        found = known.get(value) or says.default
        if found is None:
            raise NotUnderstood("action_source_unknown", "the value for action_source is none that the file knows")
        return found

    def _subject(self) -> str:
        return _subject(self.name, self.says, self.reader)

    def _time(self) -> int:
        found = self._time_or_none()
        if found is None:
            says = self.says.time
            raise NotUnderstood("time_missing", f"there is no time of the format {says.format} where the file says")
        return found

    def _time_or_none(self) -> int | None:
        says = self.says.time
        return moment(_first_filled(self.reader, says.from_), says.format, says.zone)

    # Whence it came ---------------------------------------------------------------------------------------------------

    def _reference(self, expressions: str | Sequence[str] | None, cut: Any) -> str | None:
        """A reference that is handed over as a value counts first; else it is cut out of a landing URL.

        Form decoding would take each + in it for a blank (Conversions API: click reference).
        """
        values = (click.reference(each) for each in self.as_written.values(expressions))
        return envelope.first(values) or envelope.first(
            cut(each) for each in self.as_written.values(self.says.landing_url) if isinstance(each, str)
        )

    def _recalled(self) -> Recalled:
        says = self.says
        in_urls = map(click_memory.key_in_url, self.as_written.values(says.landing_url))
        return click_memory.recalled(self.recall, (*self.reader.values(says.click_key), *in_urls))

    def _consent(self) -> Consent:
        states = map(consent.said, self.reader.values(self.says.consent))
        opt_out = any(map(consent.opted_out, self.reader.values(self.says.opt_out)))
        return Consent(next((each for each in states if each is not None), None), opt_out)

    def _source_url(self, recalled: Recalled) -> str | None:
        origin = self.settings.site_origin or self.settings.storefront_origin or None
        pages = [*self.reader.values(self.says.source_url), *self.reader.values(self.says.landing_url)]
        texts = [each for each in pages if isinstance(each, str) and each.strip()]
        exact = envelope.first(click.source_url(each, origin=None) for each in texts)
        return exact or recalled.source_url or click.source_url(texts[0] if texts else None, origin=origin)

    def _first(self, expressions: str | Sequence[str] | None) -> str | None:
        return envelope.first(plain_text(each) for each in self.reader.values(expressions))

    # Whom it is about, and what it is worth ---------------------------------------------------------------------------

    def _user(self) -> dict[str, Any]:
        says, values = self.says.user, self.reader.values
        region = says.phone_region
        near = region if isinstance(region, str | None) else identity.country(self.reader.value(region.from_))
        device_id = usable(identity.android_advertising_id, values(says.android_advertising_id))
        return envelope.without_none({"android_advertising_id": device_id}) | person.user_fields(
            settings=self.settings,
            emails=values(says.emails),
            phones=[(each, near) for each in values(says.phones)],
            external_ids=values(says.external_ids),
            first_names=values(says.first_names),
            last_names=values(says.last_names),
            city=usable(identity.city, values(says.city)),
            region=usable(identity.region, values(says.region)),
            postal_code=usable(identity.postal_code, values(says.postal_code)),
            country=usable(identity.country, values(says.country)),
            ip_address=usable(identity.ip_address, values(says.ip_address)),
            user_agent=usable(identity.user_agent, values(says.user_agent)),
        )

    def _data(self, event_type: str) -> dict[str, Any]:
        kind = DATA_TYPE[event_type]
        currency = self._currency()
        data: dict[str, Any] = {}
        if self.says.value is not None and currency is not None:
            amount = minor_units(self.reader.value(self.says.value.amount), self.says.value.unit, currency)
            data = {} if amount is None else {"amount": amount, "currency": currency}
        if self.says.contents is not None and kind != "customer_action":
            data["contents"] = self._contents(self.says.contents, currency if data else None, currency)
        if self.says.plan_id is not None and kind in ("plan_enrollment", "custom"):
            data["plan_id"] = plain_text(self.reader.value(self.says.plan_id))
        return envelope.without_none(data)

    def _currency(self) -> str | None:
        says = self.says.value.currency if self.says.value is not None else None
        if says is None:
            is_call = self.says.call is not None
            return self.settings.call_currency if is_call else None
        if isinstance(says, str):
            return says
        value = self.reader.value(says.from_)
        # A currency that is there but unknown is not replaced by another: the amount would be a wrong one.
        return money.currency_code(value) if plain_text(value) is not None else says.default

    def _contents(self, says: form.Contents, of_event: str | None, currency: str | None) -> list[dict[str, Any]]:
        lines = self.reader.value(says.each)
        readers = [self.reader.inside(each) for each in lines[:_MOST_LINES]] if isinstance(lines, list) else []
        return [item for item in (_item(each, says, of_event, currency) for each in readers) if item]

    # Calls ------------------------------------------------------------------------------------------------------------

    def _truth(self, says: str | form.Truth | None) -> bool | None:
        if says is None or isinstance(says, str):
            return truth(self.reader.value(says))
        word = (plain_text(self.reader.value(says.from_)) or "").lower()
        if word in _lower(says.means_yes):
            return True
        return False if word and (says.means_no is None or word in _lower(says.means_no)) else None

    def _seconds(self, says: str | form.Span) -> Decimal | None:
        """Of what is absent none; taken for none, a lead with seconds that cannot be read would be lost.

        Raises:
            NotUnderstood: something stands there that is no number, or no time of the format.
        """
        if isinstance(says, str):
            return calls.seconds(self.reader.value(says))
        start, end = (self._moment_of_call(each, says.format) for each in (says.start, says.end))
        return None if start is None or end is None else Decimal(end - start) / 1000

    def _moment_of_call(self, expression: str, written: form.TimeFormat) -> int | None:
        value = self.reader.value(expression)
        found = moment(value, written, None)
        if found is None and payload.is_filled(value):
            raise NotUnderstood("duration_unreadable", f"the call begins or ends at no time of the format {written}")
        return found

    def _verdict(self, says: form.Verdict | None) -> calls.Verdict | None:
        word = (plain_text(self.reader.value(says.from_)) or "").lower() if says is not None else ""
        if says is None or not word:
            return None
        if word in _lower(says.not_a_lead):
            return "not_a_lead"
        return "lead" if word in _lower(says.lead) else None


def _item(reader: Reader, says: form.Contents, of_event: str | None, currency: str | None) -> dict[str, Any]:
    quantity = payload.number(reader.value(says.quantity))
    amount = minor_units(reader.value(says.amount), says.unit, currency) if currency else None
    return envelope.without_none(
        {
            "id": plain_text(reader.value(says.id)),
            "group_id": plain_text(reader.value(says.group_id)),
            "name": plain_text(reader.value(says.name)),
            "quantity": int(quantity) if quantity is not None and quantity >= 0 and quantity == int(quantity) else None,
            "amount": amount,
            "currency": currency if amount is not None and of_event is None else None,
        }
    )


def _lower(words: Iterable[str]) -> set[str]:
    return {each.lower() for each in words}


def plain_text(value: object) -> str | None:
    """A text, or a number as its digits; None for what is empty or anything else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**30 else None
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() and abs(value.adjusted()) < 30 else None
    return payload.text(value)


def truth(value: object) -> bool | None:
    """Yes or no as platforms write it: a boolean, 1 or 0, or a word. ``bool("false")`` is True; this is not."""
    word = (plain_text(value) or "").lower()
    return True if word in _YES else False if word in _NO else None


def usable(check: Any, values: Iterable[object]) -> Any:
    """The first value that a check of `conversion_relay.identity` lets pass."""
    return envelope.first(check(each) for each in values)


def minor_units(value: object, unit: Literal["major", "minor"], currency: str) -> int | None:
    """An amount in minor units of the currency; None for what is none."""
    if unit == "major":
        return money.minor_units(value, currency)
    number = payload.number(value)
    if number is None or number < 0 or number != int(number) or number > money.LARGEST_AMOUNT:
        return None
    return int(number)


def moment(value: object, written: form.TimeFormat, zone: str | None) -> int | None:
    """Unix milliseconds of a time; None for what is no such time. Numbers may also be text."""
    if written == "rfc2822":
        return timestamps.from_rfc2822(value)
    if written == "iso":
        return _from_iso(value, zone)
    number = payload.number(value)
    if number is None or number < 0:
        return None
    # Some platforms write seconds with a fraction; finer digits than milliseconds are cut off.
    return timestamps.from_unix_ms(int(number * 1000 if written == "unix_s" else number))


def _from_iso(value: object, zone: str | None) -> int | None:
    if zone is None or not isinstance(value, str):
        return timestamps.from_iso(value)
    from zoneinfo import ZoneInfo

    try:
        local = datetime.fromisoformat(value.strip())
        zoned = local if local.tzinfo is not None else local.replace(tzinfo=ZoneInfo(zone))
        return timestamps.from_iso(zoned.isoformat())
    except ValueError:
        return None
