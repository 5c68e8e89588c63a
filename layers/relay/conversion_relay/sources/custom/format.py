"""What a platform's file may say: every key with its meaning, and what it may be.

The files (``functions/custom/platforms/``) are held against these models when they are built, and the models are also
what the function reads them into. ``tools/platforms.py`` writes the JSON Schema and the reference in
``docs/custom-platforms.md`` from the descriptions here.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from conversion_relay import money
from conversion_relay.event import DATA_TYPE
from conversion_relay.settings import ActionSource

NAME: Final = re.compile(r"[a-z][a-z0-9_-]{1,31}")
"""What a platform may be called: its file without the ending, the path of its address, its conversions' ledger keys."""
RESERVED: Final = frozenset(
    {"shopify", "stripe", "callrail", "calltrackingmetrics", "ctm", "whatconverts", "twilio", "custom", "privacy"}
)
"""Sources with a module of their own, and words of the ledger: their keys must stay theirs."""

EventType = Literal[
    "page_viewed", "contents_viewed", "items_added", "checkout_started", "order_created", "lead_created",
    "registration_completed", "appointment_scheduled", "app_installed", "app_opened", "subscription_created",
    "trial_started", "custom",
]  # fmt: skip
TimeFormat = Literal["iso", "unix_s", "unix_ms", "rfc2822"]
Unit = Literal["major", "minor"]
Method = Literal["GET", "POST"]


def _expression(value: str) -> str:
    from conversion_relay.sources.custom import expression  # jmespath: a later import is a cold start saved

    expression.check(value)
    return value


def _currency(value: str) -> str:
    if value != money.currency_code(value):
        raise ValueError("must be an active ISO 4217 code in capitals, such as USD")
    return value


def _zone(value: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be the name of a time zone, such as America/Chicago or UTC") from None
    return value


def _either(**kinds: type) -> Discriminator:
    """Which of several forms a value is written in, by its own type: so that a mistake is explained for that form."""

    def form(value: Any) -> str:
        if isinstance(value, BaseModel):
            return "table"
        return next((name for name, kind in kinds.items() if isinstance(value, kind)), next(iter(kinds)))

    return Discriminator(form)


_TEXT_OR_TABLE: Final = _either(text=str, table=dict)
_TEXT_OR_LIST: Final = _either(text=str, list=list)

Expression = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_expression)]
Expressions = Annotated[
    Annotated[Expression, Tag("text")] | Annotated[list[Expression], Field(min_length=1, max_length=10), Tag("list")],
    _TEXT_OR_LIST,
]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
FieldPath = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*){0,9}$")]
ParameterName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
Reason = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,40}$")]
CurrencyCode = Annotated[str, AfterValidator(_currency)]
Words = Annotated[list[str], Field(min_length=1, max_length=50)]


class Part(BaseModel):
    """A group of keys: unknown ones are refused, and nothing is converted on the quiet."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True, populate_by_name=True
    )


# Who sent it ----------------------------------------------------------------------------------------------------------


class HeaderTime(Part):
    """The time that is signed stands in a header of its own."""

    header: HeaderName = Field(description="the header that holds it")
    unit: Literal["s", "ms"] = Field("s", description="Unix seconds or milliseconds")


class Hmac(Part):
    """A keyed hash over the raw request; the secret is the key."""

    kind: Literal["hmac"]
    header: HeaderName = Field(description="the header that holds the signature")
    algorithm: Literal["sha1", "sha256", "sha512"] = Field("sha256", description="the hash")
    encoding: Literal["hex", "base64"] = Field("hex", description="how the signature is written")
    prefix: str = Field("", max_length=40, description="what stands before it in the header, such as `sha256=`")
    content: str = Field(
        "{body}",
        max_length=200,
        description="what is signed: `{body}`, `{time}`, `{method}`, `{url}` and any text between them",
    )
    time: HeaderTime | None = Field(None, description="the header with the signed time, for a `{time}` in `content`")
    fields: dict[Literal["time", "signature"], ParameterName] | None = Field(
        None,
        description="for a signature header such as `t=1795186800,v1=5257…`: the names of `time` (Unix seconds) and "
        "`signature` in it; any of several signatures may fit",
    )
    tolerance_seconds: int = Field(
        300, ge=1, le=3600, description="how far the signed time may lie from now, both ways"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Hmac:
        unknown = set(re.findall(r"\{([^}]*)\}", self.content)) - {"body", "time", "method", "url"}
        if unknown:
            raise ValueError(
                f"content: {{{min(unknown)}}} is unknown; there are {{body}}, {{time}}, {{method}}, {{url}}"
            )
        if self.fields is not None and (set(self.fields) != {"time", "signature"} or self.time or self.prefix):
            raise ValueError("fields: names both time and signature, and goes without time and prefix")
        if ("{time}" in self.content) != (self.time is not None or self.fields is not None):
            raise ValueError(
                "content: a {time} needs time or fields, which say where it stands, and they need a {time}"
            )
        return self


class StandardWebhooks(Part):
    """The scheme of standardwebhooks.com, which Svix and others use; the secret is `whsec_…`."""

    kind: Literal["standard_webhooks"]
    headers: Literal["webhook", "svix"] = Field(
        "webhook", description="how the three headers begin: `webhook-id` … or `svix-id` …"
    )


class HeaderToken(Part):
    """A fixed secret in a header."""

    kind: Literal["header"]
    header: HeaderName = Field(description="the header")
    prefix: str = Field(
        "", max_length=40, description="what stands before the secret, such as `Bearer ` with its blank"
    )


class Basic(Part):
    """HTTP basic authentication; the secret is `user:password`."""

    kind: Literal["basic"]


class BodyToken(Part):
    """A fixed secret in the body, which may then have at most 1 MB."""

    kind: Literal["body_token"]
    field: FieldPath = Field(description="the field, such as `token` or `auth.token`")


class UrlToken(Part):
    """A fixed secret in the address that the platform calls."""

    kind: Literal["url_token"]
    parameter: ParameterName = Field(description="the query parameter, such as `token`")


Verify = Annotated[Hmac | StandardWebhooks | HeaderToken | Basic | BodyToken | UrlToken, Field(discriminator="kind")]


class HeaderEcho(Part):
    """A request without a body whose header is sent back."""

    kind: Literal["header"]
    request: HeaderName = Field(description="the header that holds the token")
    response: HeaderName = Field(description="the header in which it is sent back")


class QueryEcho(Part):
    """A GET without a body whose query parameter is sent back as text."""

    kind: Literal["query"]
    parameter: ParameterName = Field(description="the query parameter that holds the token")


class BodyEcho(Part):
    """A small JSON body whose field is sent back as text."""

    kind: Literal["body"]
    field: FieldPath = Field(description="the field that holds the token")
    when: Expression = Field(description="true only for this request, such as `type == 'url_verification'`")


Handshake = Annotated[HeaderEcho | QueryEcho | BodyEcho, Field(discriminator="kind")]


# What it says ---------------------------------------------------------------------------------------------------------


class Filter(Part):
    """A condition without which a delivery is ignored."""

    that: Expression = Field(description="must be true (or the text `true`, `yes` or `1`) for the delivery to count")
    reason: Reason = Field(description="the word in log and answer where it is not, such as `other_event`")
    detail: str = Field(min_length=1, max_length=200, description="a sentence for people")


class TypeChoice(Part):
    """The event type by a value of the payload."""

    from_: Expression = Field(alias="from", description="the value, such as a topic or a stage")
    map: dict[str, EventType] = Field(
        min_length=1, description="each value that counts, with its event type; any other is ignored, `type_not_mapped`"
    )


class SourceChoice(Part):
    """The action source by a value of the payload."""

    from_: Expression = Field(alias="from", description="the value; without `map` it is itself an action source")
    map: dict[str, ActionSource] = Field(default_factory=dict, description="each value with its action source")
    default: ActionSource | None = Field(None, description="for all other values; without it they are parked")


class Time(Part):
    """When it happened."""

    from_: Expressions = Field(alias="from", description="the first one that is filled")
    format: TimeFormat = Field(
        description="`iso` (2026-11-20T14:40:00Z), `unix_s`, `unix_ms` (numbers, also as text), `rfc2822`"
    )
    zone: Annotated[str, AfterValidator(_zone)] | None = Field(
        None,
        description="for local times without a zone: the zone they are in, such as `America/Chicago`. Never guessed",
    )


class Currency(Part):
    """The currency by a value of the payload."""

    from_: Expression = Field(alias="from", description="the ISO 4217 code")
    default: CurrencyCode | None = Field(None, description="where the payload has none")


class Value(Part):
    """What it is worth. Left out as a whole where amount or currency cannot be read."""

    amount: Expression = Field(description="a number, or the text of one, such as `149.00`")
    unit: Unit = Field(description="`major`: 149.00 dollars. `minor`: 14900 cents")
    currency: (
        Annotated[Annotated[CurrencyCode, Tag("text")] | Annotated[Currency, Tag("table")], _TEXT_OR_TABLE] | None
    ) = Field(None, description="an ISO 4217 code, or where it stands. Without it: CallCurrency, for calls only")


class Contents(Part):
    """What was bought or looked at; only for event types that take it."""

    each: Expression = Field(description="the list of lines; what follows is read in each of them")
    id: Expression | None = Field(None, description="id of the product or variant")
    group_id: Expression | None = Field(None, description="id of the group of variants")
    name: Expression | None = Field(None, description="its name")
    quantity: Expression | None = Field(None, description="how many, a whole number")
    amount: Expression | None = Field(None, description="the price of one, before discounts")
    unit: Unit = Field("major", description="`major` or `minor`, as above; the currency is that of `value`")


class Region(Part):
    """The country that national phone numbers are read in, by a value of the payload."""

    from_: Expression = Field(alias="from", description="a country code of two letters")


class User(Part):
    """Whom it is about. The first usable value of each counts; what must be hashed is hashed before it is kept."""

    emails: Expressions | None = Field(None, description="e-mail addresses")
    phones: Expressions | None = Field(None, description="phone numbers, best with country code")
    phone_region: (
        Annotated[
            Annotated[str, Field(pattern=r"^[A-Z]{2}$"), Tag("text")] | Annotated[Region, Tag("table")], _TEXT_OR_TABLE
        ]
        | None
    ) = Field(
        None,
        description="the country of numbers without country code: two capitals, or where it stands. "
        "Without it: DefaultPhoneRegion; without that they are left out",
    )
    external_ids: Expressions | None = Field(None, description="your own id of the person")
    first_names: Expressions | None = Field(None, description="first names")
    last_names: Expressions | None = Field(None, description="last names")
    city: Expressions | None = Field(None, description="city")
    region: Expressions | None = Field(None, description="state or province")
    postal_code: Expressions | None = Field(None, description="postal code")
    country: Expressions | None = Field(
        None, description="country code of two letters; names of countries are left out"
    )
    ip_address: Expressions | None = Field(None, description="of the person's device, never of a server or an agent")
    user_agent: Expressions | None = Field(None, description="of the person's device")
    android_advertising_id: Expressions | None = Field(None, description="Google advertising id")


class Span(Part):
    """A time that has passed, from two moments."""

    start: Expression = Field(description="the first moment, such as when it was answered")
    end: Expression = Field(description="the second one")
    format: TimeFormat = Field(description="how both are written, see `time`")


class Truth(Part):
    """Yes or no by the words of the payload, in any case."""

    from_: Expression = Field(alias="from", description="the value")
    means_yes: Words = Field(description="the words that mean yes")
    means_no: Words | None = Field(None, description="those that mean no; without it every other word does")


class Verdict(Part):
    """What a person said of the call afterwards."""

    from_: Expression = Field(alias="from", description="the value")
    lead: Words = Field(description="the words for a good lead: it then counts even if short, repeated or unanswered")
    not_a_lead: Words = Field(description="the words for none: it then never counts")


TruthValue = Annotated[Annotated[Expression, Tag("text")] | Annotated[Truth, Tag("table")], _TEXT_OR_TABLE]


class Call(Part):
    """What the rule for calls asks (docs: which calls count). What is left out decides nothing."""

    seconds: Annotated[Annotated[Expression, Tag("text")] | Annotated[Span, Tag("table")], _TEXT_OR_TABLE] = Field(
        description="seconds of talk, not of ringing: a number, or two moments"
    )
    answered: TruthValue | None = Field(None, description="whether a person answered")
    inbound: TruthValue | None = Field(None, description="whether the customer called")
    over: TruthValue | None = Field(None, description="whether the call has ended")
    first_time: TruthValue | None = Field(None, description="whether it is this caller's first call")
    repeat: TruthValue | None = Field(None, description="the opposite; give one of the two")
    spam: TruthValue | None = Field(None, description="whether it is marked as spam")
    voicemail: TruthValue | None = Field(None, description="whether the caller spoke to a machine")
    verdict: Verdict | None = Field(None, description="a human judgement")

    @model_validator(mode="after")
    def _one_of_two(self) -> Call:
        if self.first_time is not None and self.repeat is not None:
            raise ValueError("repeat: give first_time or repeat, not both")
        return self


class Conversion(Part):
    """How a delivery becomes an event."""

    type: Annotated[Annotated[EventType, Tag("text")] | Annotated[TypeChoice, Tag("table")], _TEXT_OR_TABLE] = Field(
        description="one of the 13 event types, or a table from values to types"
    )
    custom_event_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?$")] | None = (
        Field(None, description="the name of a `custom` event")
    )
    id: Expression = Field(
        description="id of the order, lead, call …: the same in every delivery about it, never a time, e-mail or phone"
    )
    account: Expression | None = Field(None, description="where ids are unique within an account only: the account")
    time: Time = Field(description="when it happened")
    action_source: Annotated[
        Annotated[ActionSource, Tag("text")] | Annotated[SourceChoice, Tag("table")], _TEXT_OR_TABLE
    ] = Field(description="where it happened, or how to tell from a value")
    source_url: Expressions | None = Field(
        None, description="the page, for web events; else `landing_url`, else SiteOrigin. Its query is cut off"
    )
    landing_url: Expressions | None = Field(
        None, description="the address on which the visitor arrived: oppref and obref are cut out of it, undecoded"
    )
    oppref: Expressions | None = Field(None, description="the click reference as a value; comes before `landing_url`")
    obref: Expressions | None = Field(None, description="the browser reference as a value")
    click_key: Expressions | None = Field(
        None,
        description="a key of the click memory (`rc1_…`), also found as `relay_click` in `landing_url`",
    )
    consent: Expressions | None = Field(
        None, description="whether the person has agreed to be measured: granted, denied, or yes and no"
    )
    opt_out: Expressions | None = Field(None, description="whether the event carries the API's flag opt_out")
    pixel_event_id: Expressions | None = Field(
        None, description="the event_id that your pixel sends for the same conversion, so that it counts once"
    )
    plan_id: Expression | None = Field(None, description="the plan, for subscriptions and trials")
    user: User = Field(default_factory=User, description="whom it is about")
    value: Value | None = Field(None, description="what it is worth")
    contents: Contents | None = Field(None, description="what was bought")
    call: Call | None = Field(None, description="the facts that the rule for calls needs, for phone_call")

    @model_validator(mode="after")
    def _parts_fit(self) -> Conversion:
        types = set(self.type.map.values()) if isinstance(self.type, TypeChoice) else {self.type}
        if ("custom" in types) != (self.custom_event_name is not None):
            raise ValueError("custom_event_name: goes with the type custom, and the type custom with it")
        if self.custom_event_name is not None and self.custom_event_name.lower() in DATA_TYPE:
            raise ValueError("custom_event_name: must not be the name of a standard event")
        kinds = {DATA_TYPE[each] for each in types}
        if self.contents is not None and kinds == {"customer_action"}:
            raise ValueError(f"contents: no event of type {', '.join(sorted(types))} takes any")
        if self.plan_id is not None and not kinds & {"plan_enrollment", "custom"}:
            raise ValueError("plan_id: only subscription_created, trial_started and custom take it")
        if isinstance(self.action_source, str):
            if types & {"app_installed", "app_opened"} and self.action_source != "mobile_app":
                raise ValueError("action_source: must be mobile_app for app_installed and app_opened")
            if self.call is not None and self.action_source != "phone_call":
                raise ValueError("call: only goes with action_source phone_call")
        return self


class Survey(Part):
    """What a person has answered to the question after the purchase. It is kept for the report, and never sent."""

    id: Expression = Field(description="id of the answer: the same in every delivery about it, never a time or e-mail")
    order_id: Expressions | None = Field(None, description="id of the order that it belongs to, as the shop writes it")
    time: Time = Field(description="when it was given")
    answer: Expressions = Field(description="what was chosen; of several the first that `options` has")
    options: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^@]*$")]],
        Field(min_length=1, max_length=100),
    ] = Field(
        description="the options of the question. Only these words are ever kept: any other answer, as what a person "
        "has typed, becomes `(other)`"
    )


def _posts() -> list[Method]:
    return ["POST"]


class Platform(Part):
    """One platform: who may send, what is read, and what it becomes."""

    about: str = Field(min_length=1, max_length=200, description="one line for people: what the platform is")
    methods: list[Method] = Field(default_factory=_posts, min_length=1, description="the HTTP methods that it uses")
    body: Literal["json", "form", "query"] = Field(
        "json", description="where the payload is: a JSON or form body, or the query of the address (decoded once)"
    )
    retries: bool = Field(
        True, description="false: it never sends again after an error, so what cannot be recorded is kept first"
    )
    verify: Verify = Field(description="how a delivery proves who sent it")
    handshake: Handshake | None = Field(None, description="how the platform tries the address before it is used")
    filters: list[Filter] = Field(default_factory=list, max_length=30, description="all must hold, in this order")
    conversion: Conversion | None = Field(None, description="what it becomes; this or `survey`")
    survey: Survey | None = Field(
        None, description="for an answer to a survey, which is kept for the report and not sent"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Platform:
        if self.conversion is None and self.survey is None:
            raise ValueError("conversion: is missing (or survey, for answers to a survey)")
        if self.conversion is not None and self.survey is not None:
            raise ValueError("survey: goes without conversion: what is sent needs a file of its own")
        if isinstance(self.verify, Hmac):
            signed = "{url}" if self.body == "query" else "{body}"
            if signed not in self.verify.content:
                raise ValueError(f"verify.content: must contain {signed}, or the payload could be changed on its way")
        if isinstance(self.verify, BodyToken) and self.body == "query":
            raise ValueError("verify.kind: body_token needs a body; for a token in the address there is url_token")
        if isinstance(self.verify, StandardWebhooks) and self.body == "query":
            raise ValueError("verify.kind: standard_webhooks signs the body, and the payload is in the query")
        if isinstance(self.handshake, QueryEcho) and "GET" not in self.methods:
            raise ValueError("handshake.kind: query is a GET, which is not among the methods")
        return self


PARTS: Final[tuple[type[Part], ...]] = (
    Platform, Hmac, HeaderTime, StandardWebhooks, HeaderToken, Basic, BodyToken, UrlToken, HeaderEcho, QueryEcho,
    BodyEcho, Filter, Conversion, TypeChoice, SourceChoice, Time, User, Region, Value, Currency, Contents, Call, Span,
    Truth, Verdict, Survey,
)  # fmt: skip
"""Every group of keys, in the order of the reference."""
