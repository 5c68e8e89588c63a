"""Answers to "How did you first hear about us?": exports of KnoCommerce, Fairing and Typeform, and a plain CSV.

What an answer means is said by `[input.options]`, else by the patterns below. Free text is never kept: an answer that
is flagged as free text, or fits nothing, becomes "(free text)" in the channel `other`; one that fits a built-in pattern
becomes the pattern's own name, so that nobody's words reach a table. Only options that the settings name keep their
text.

"ChatGPT" alone may mean the ad or an answer of the assistant. It counts as the answer (`ai_assistant`), so that no sale
is credited to the ads that nobody has said to be theirs; `chatgpt = "chatgpt"` decides otherwise, and a note says how
many there were.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from measurement.inputs.cells import REMOVED, REMOVED_PHONE, has_email, is_empty
from measurement.inputs.reading import Field, Row, Sheet, noted, plain, sheets
from measurement.inputs.rows import counted
from measurement.settings import Input, Settings
from measurement.tables import CHATGPT, UNKNOWN

FREE_TEXT: Final = "(free text)"
BARE: Final = "ChatGPT"

_ANSWER_ID: Final = ("response id", "answer id", "id", "submission id", "token", "#")
_ORDER: Final = ("order id", "shopify order id", "order", "order number", "order name", "order no")
_ANSWER: Final = ("answer", "response", "value", "option", "answer text", "response text")
_QUESTION: Final = ("question", "survey question", "prompt", "question title")
_FREE: Final = ("other", "free text", "is other", "other response", "write in")

PLAIN: Final = (
    Field("answer_id", _ANSWER_ID, "person", column=False, filled=False),
    Field("order_id", _ORDER, "order", column=False, filled=False),
    Field("at", ("at", "date", "time", "submitted at", "created at"), "moment"),
    Field("answer", _ANSWER, filled=False),
    Field("question", _QUESTION, column=False, filled=False),
    Field("free", _FREE, column=False, filled=False),
)
KNOCOMMERCE: Final = (
    Field("answer_id", ("response id", "id"), "person", column=False, filled=False),
    Field("order_id", _ORDER, "order", column=False, filled=False),
    Field("at", ("completed at", "created at", "submitted at", "response date", "date", "updated at"), "moment"),
    Field("answer", ("response", "answer", "value", "label"), filled=False),
    Field("question", ("question", "question title", "title", "prompt"), column=False, filled=False),
    Field("free", ("other", "free text", "open text", "other response"), column=False, filled=False),
)
FAIRING: Final = (
    Field("answer_id", ("response id", "id"), "person", column=False, filled=False),
    Field("order_id", ("order id", "order number"), "order", column=False, filled=False),
    Field("at", ("response provided at", "inserted at", "response date", "created at"), "moment", zone="UTC"),
    Field("answer", ("response",), filled=False),
    Field("question", ("question", "question prompt", "prompt"), column=False, filled=False),
    Field("free", ("other", "other response"), column=False, filled=False),
)
TYPEFORM: Final = (
    Field("answer_id", ("#", "response id", "token"), "person"),
    Field("order_id", ("order id", "order", "order number"), "order", column=False, filled=False),
    Field("at", ("submit date (utc)", "submitted at"), "moment", filled=False, zone="UTC"),
    Field("type", ("response type",), column=False, filled=False),
    Field("free", ("other",), column=False, filled=False),
)

_ASKS: Final = re.compile(r"hear about|heard about|heard of|find out about|found out about|find us|found us|discover")
_AD: Final = re.compile(
    r"\b(?:ads?|advert\w*|sponsored|promoted|paid|commercial|anzeigen?|werbung|pub|publicit[eé]|annonces?|anuncios?)\b"
)
_PATTERNS: Final = tuple(
    (re.compile(pattern), paid, free)
    for pattern, paid, free in (
        (
            r"(?=.*(?:chat ?-?gpt|open ?ai\b)).*(?:answer|recommend|suggest|ask|organic|conversation|antwort|empfehl)",
            ("ChatGPT (ad)", CHATGPT),
            ("ChatGPT (answer)", "ai_assistant"),
        ),
        (r"chat ?-?gpt|open ?ai\b", ("ChatGPT (ad)", CHATGPT), (BARE, "ai_assistant")),
        (
            r"\b(?:ai|a\.i\.|ki|perplexity|gemini|copilot|claude|grok|deepseek|assistants?|chat ?bots?|llm)\b",
            None,
            ("AI assistant", "ai_assistant"),
        ),
        (r"\b(?:don'?t|do not|can'?t) (?:remember|recall|know)|not sure|prefer not", None, ("Not sure", UNKNOWN)),
        (r"you ?tube", ("YouTube (ad)", "google_ads"), ("YouTube", "organic_social")),
        (r"google|search engine|web search|internet search|online search", ("Google (ad)", "google_ads"),
         ("Search engine", "organic_search")),
        (r"\bbing\b|microsoft", ("Bing (ad)", "microsoft_ads"), ("Search engine", "organic_search")),
        (r"facebook|instagram|\bfb\b|\big\b|\bmeta\b", ("Facebook or Instagram (ad)", "meta_ads"),
         ("Facebook or Instagram", "organic_social")),
        (r"tik ?tok", ("TikTok (ad)", "tiktok_ads"), ("TikTok", "organic_social")),
        (r"pinterest|reddit|linkedin|twitter|snap ?chat|\bthreads\b|influencer|social media|\bsocial\b|creator",
         ("Social media (other ad)", "other"), ("Social media", "organic_social")),
        (r"friend|family|word of mouth|colleague|co-?worker|neighbou?r|relative|someone (?:i know|told)|recommendation"
         r"|freund|famil|empfehl", None, ("Friend or family", "word_of_mouth")),
        (r"e-?mail|newsletter", None, ("E-mail", "email")),
        (r"podcast|radio|\btv\b|television|billboard|magazine|newspaper|flyer|\bprint\b|direct mail|postcard|catalog"
         r"|\bevent\b|in[- ]store|\bstore\b|trade show|walked", None, ("Offline", "offline")),
        (r"affiliate|coupon|\bdeals? site|cash ?back|honey", None, ("Affiliate or coupon site", "affiliate")),
        (r"blog|article|review|website|\bpress\b|\bnews\b|forum|link", None, ("Website or article", "referral")),
        (r"returning|already (?:knew|know|a customer)|existing customer", None, ("Knew us already", "direct")),
        (r"other|something else|none of|sonstiges|andere|autre|otro", None, ("Other", "other")),
    )
)  # fmt: skip
"""A pattern, what it is called and means where the answer says that it was an ad, and where it does not."""


@lru_cache(maxsize=4096)
def meant(answer: str) -> tuple[str, str] | None:
    """The name and the channel of an answer by the built-in patterns; None: none of them fits, or it is no option.

    An option is short; what is longer than 60 characters is somebody's own text.
    """
    text = " ".join(answer.casefold().split())
    if len(text) > 60:
        return None
    for pattern, paid, free in _PATTERNS:
        if pattern.search(text):
            return paid if paid and _AD.search(text) else free
    return None


class Meaning:
    """What the answers of one file mean, and how many there were of each."""

    def __init__(self, entry: Input) -> None:
        given = entry.options.get("options", {})
        self.own = {plain(str(option)): (str(option), str(named)) for option, named in given.items()}
        self.bare = str(entry.options.get("chatgpt", "ai_assistant"))
        self.counts: Counter[tuple[str, str]] = Counter()

    def of(self, answer: str, is_free: bool) -> tuple[str, str]:
        """The answer as it is kept, and its channel."""
        found = self.own.get(plain(answer))
        if found is None:
            is_free = is_free or answer in (REMOVED, REMOVED_PHONE) or has_email(answer)
            found = (None if is_free else meant(answer)) or (FREE_TEXT, "other")
            if found[0] == BARE:
                found = (BARE, self.bare)
        self.counts[found] += 1
        return found

    def notes(self, label: str, decided: bool) -> Iterator[str]:
        """What was made of the answers, for the person who has to agree with it."""
        if self.counts:
            listed = "; ".join(
                f"{name} is {channel} ({count:,})" for (name, channel), count in self.counts.most_common(20)
            )
            yield f"{label}: {listed}."
        bare = sum(count for (name, _), count in self.counts.items() if name == BARE and plain(BARE) not in self.own)
        if bare and not decided:
            yield (
                f"{label}: {counted(bare, 'answer')} ChatGPT that may mean the ad or not; counted as {self.bare}. "
                'Offer both in the survey, "ChatGPT (ad)" and "ChatGPT (answer)", or decide with chatgpt = "chatgpt".'
            )
        free = self.counts[FREE_TEXT, "other"]
        if free > sum(self.counts.values()) // 10:
            yield (
                f"{label}: {counted(free, 'answer')} fit no option and no pattern; counted as other, text not kept. "
                "If they are options, name them under [input.options]."
            )


def _reader(fields: tuple[Field, ...], *, has_question_columns: bool = False) -> Any:
    def read(entry: Input, settings: Settings) -> Iterable[tuple[str, Mapping[str, Any]]]:
        for sheet in sheets(entry, settings, fields):
            meaning = Meaning(entry)
            yield from (_columns if has_question_columns else _rows)(sheet, meaning)
            sheet.notes.extend(meaning.notes(sheet.label, "chatgpt" in entry.options))
            yield from noted(sheet)

    return read


def _is_free(said: str | None, answer: str) -> bool:
    """Whether the column for free text says so: a flag, or the text itself."""
    if said is None or is_empty(said):
        return False
    return plain(said) not in ("false", "no", "0") and (plain(said) in ("true", "yes", "1") or not answer)


def _rows(sheet: Sheet, meaning: Meaning) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A row an answer. Of several questions the one about hearing counts, or the one that `question` names."""
    wanted = sheet.entry.options.get("question")
    skipped = empty = 0
    for row in sheet:
        if row["question"] and not _is_asked(row["question"], wanted):
            skipped += 1
            continue
        answer = row["answer"] or ""
        is_free = _is_free(row["free"], answer)
        if not is_free and is_empty(answer):
            empty += 1
            continue
        yield _answer(row, meaning.of(answer, is_free))
    if skipped:
        sheet.notes.append(f"{sheet.label}: {counted(skipped, 'answer')} to other questions left out.")
    if empty:
        sheet.notes.append(f"{sheet.label}: {counted(empty, 'row')} without an answer left out.")


def _is_asked(question: str, wanted: Any) -> bool:
    if isinstance(wanted, str):
        return plain(question) == plain(wanted)
    return _ASKS.search(plain(question)) is not None


def _columns(sheet: Sheet, meaning: Meaning) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A row a person, a column a question."""
    wanted = sheet.entry.options.get("question")
    column: str | None = None
    empty = 0
    for row in sheet:
        if column is None:
            fitting = [name for name in sheet.heading if _is_asked(name, wanted)]
            if len(fitting) != 1:
                sheet.fail(
                    1,
                    f"{'no column' if not fitting else 'more than one column'} could be how people heard of you",
                    'Name its heading: question = "How did you first hear about us?"',
                )
            column = fitting[0]
        answer = row.cells[column].strip()
        is_free = _is_free(row["free"], answer)
        is_complete = row["at"] is not None and (row["type"] or "completed").casefold() in ("completed", "complete")
        if not is_complete or (not is_free and is_empty(answer)):
            empty += 1
        else:
            yield _answer(row, meaning.of(answer, is_free))
    if empty:
        sheet.notes.append(f"{sheet.label}: {counted(empty, 'row')} without an answer left out.")


def _answer(row: Row, kept: tuple[str, str]) -> tuple[str, Mapping[str, Any]]:
    name = row["answer_id"] or (f"order:{row['order_id']}" if row["order_id"] else f"{row.sheet.label}:{row.line}")
    return (
        "survey",
        row.made(answer_id=name, order_id=row["order_id"], at_ms=row["at"], answer=kept[0], channel=kept[1]),
    )


IMPORTERS: Final = {
    "survey": _reader(PLAIN),
    "knocommerce": _reader(KNOCOMMERCE),
    "fairing": _reader(FAIRING),
    "typeform": _reader(TYPEFORM, has_question_columns=True),
}
OPTIONS: Final = {kind: frozenset({"options", "question", "chatgpt"}) for kind in IMPORTERS}
