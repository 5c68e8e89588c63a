"""The page: one file that needs nothing else, well-formed, and safe whatever the names in the data are."""

import re
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import altair as alt
import pytest

from measurement.incrementality.results import Lift
from measurement.report import charts
from measurement.report.blocks import Chart, Points, Refusal
from measurement.report.charts import Group, Line, Mark, Strip, draw_lines, draw_rows, draw_strips
from measurement.report.contents import sections, sheets
from measurement.report.page import render
from tests.unit.measurement.report_samples import HOSTILE, SAMPLES, drawn, empty, full

VOID = {"meta", "link", "br", "path", "circle", "rect", "line"}


class Elements(HTMLParser):
    """Elements with their attributes, and whether all that was opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(tag)


@pytest.fixture(scope="module", params=SAMPLES)
def page(request: pytest.FixtureRequest) -> str:
    return render(SAMPLES[request.param](), drawn(request.param))


@pytest.fixture(scope="module")
def full_page() -> str:
    return render(full(), drawn("full"))


def test_all_that_is_opened_is_closed(page: str) -> None:
    held = Elements(page)
    assert held.wrong == []
    assert held.open == []


def test_it_needs_nothing_from_elsewhere(page: str) -> None:
    held = Elements(page)
    addresses = [value for _, attributes in held.found for name, value in attributes.items() if name in ("href", "src")]
    assert [each for each in addresses if not each.startswith(("#", "data:"))] == []
    assert {"script", "img", "iframe", "object"} & {tag for tag, _ in held.found} == set()
    assert re.findall(r"@import|url\((?!#)", page) == []


def test_it_is_under_three_megabytes(page: str) -> None:
    assert len(page.encode()) < 3_000_000


def test_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    held = Elements(page).found
    ids = [attributes["id"] for _, attributes in held if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"][1:] for tag, attributes in held if tag == "a"}
    named = {name for _, attributes in held for name in attributes.get("aria-labelledby", "").split()}
    assert targets | named <= set(ids)


def test_headings_have_no_gap(page: str) -> None:
    levels = [int(tag[1]) for tag, _ in Elements(page).found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [b for a, b in pairwise(levels) if b > a + 2] == []


def test_each_table_has_a_caption_and_each_picture_a_name_and_a_description(page: str) -> None:
    tags = [tag for tag, _ in Elements(page).found]
    assert tags.count("table") == tags.count("caption")
    pictures = [
        attributes for tag, attributes in Elements(page).found if tag == "svg" and attributes.get("role") == "img"
    ]
    assert len(pictures) == page.count("<title id=") == page.count("<desc id=")
    assert len(pictures) == 2 * page.count("<figure>")
    assert page.count("<figure>") == page.count("<details>")


def test_a_hostile_name_stays_a_name(full_page: str) -> None:
    assert HOSTILE.split(">")[0] not in full_page
    assert "&lt;script&gt;alert(" in full_page
    assert "\u202e" not in full_page


def test_without_data_there_are_sentences_in_place_of_charts() -> None:
    made = drawn("empty")
    blocks = [block for section in made for block in section.blocks]
    assert [block.title for block in blocks if isinstance(block, Chart)] == ["Which days each layer covers"]
    assert len([block for block in blocks if isinstance(block, Refusal)]) == 10
    page = render(empty(), made)
    assert page.count('<div class="refusal"') == 10


def test_kinds_are_told_apart_by_words_and_shapes(full_page: str) -> None:
    for kind in ("measured", "modelled", "assumed"):
        assert f'<span class="badge {kind}">' in full_page
        assert f"<span>{kind}</span>" in full_page
    assert 'fill="url(#hatch1)"' in full_page
    assert 'fill="var(--ground)"' in full_page


def test_what_rests_on_the_last_click_is_marked_modelled() -> None:
    held = {
        sheet.name: {column.name: column.kind for column in sheet.columns} for sheet in sheets(drawn("full")).values()
    }
    assert [held["channels"][name] for name in ("conversions", "cpa", "roas")] == ["modelled"] * 3
    assert [held["costs"][name] for name in ("cpa", "roas")] == ["modelled"] * 2
    assert held["channels"]["clicks"] == held["costs"]["spend"] == "measured"


def test_sixty_campaigns_are_put_together_and_it_is_said() -> None:
    made = drawn("crowded")
    page = render(SAMPLES["crowded"](), made)
    assert "Other campaigns (53)" in page
    assert "The 53 campaigns with least credit are put together" in page
    assert len(sheets(made)["attribution"].rows) == 4 * 4 * 72


def test_what_is_put_together_sums_to_the_whole() -> None:
    results = SAMPLES["crowded"]()
    sheet = sheets(drawn("crowded"))["attribution_channels"]
    whole = sum(
        each.conversions.value
        for each in results.attribution.credits  # type: ignore[union-attr]
        if (each.model, each.window_days, each.campaign) == ("markov", 30, None)
    )
    assert sum(row[4].value for row in sheet.rows) == pytest.approx(whole)


def test_the_charts_are_what_vega_lite_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not held against the schema while drawing, which takes half of the time, but here, once for each kind of chart.
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(charts, "_svg", lambda spec, *_: seen.append(spec) or "")
    day = date(2026, 9, 1)
    days = [day, day + timedelta(days=1)]
    marks = (Mark("a", 3, "3"), Mark("b", 5, "5 (4 – 6)", 1, 4, 6, "modelled"))
    line, dashed = Line("Sold", (1.0, None), 0), Line("Expected", (1.0, 2.0), 1, dashed=True)
    pictures = [
        draw_rows([Group("x", marks)], style="bar", form=str, title="", about=""),
        draw_rows([Group("x", marks)], style="dot", form=str, title="", about="", reference=0.0),
        draw_lines(days, [line, dashed], title="", about="", band=[(0, 1), (1, 2)], spans=[(day, day)], span_label="x"),
        draw_strips([Strip("GA4", ((day, day),), "1 of 2 days")], *days, title="", about=""),
    ]
    assert [each.wide + each.narrow for each in pictures] == [""] * 4
    assert len(seen) == 8
    for spec in seen:
        alt.LayerChart.from_dict(spec, validate=True)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0, 4312], [0, 1000, 2000, 3000, 4000, 5000]),
        ([-0.03, 0.07], [-0.04, -0.02, 0, 0.02, 0.04, 0.06, 0.08]),
        ([0, 0], [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ([3], [0, 1, 2, 3]),
        ([], [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(values: list[float], ticks: list[float]) -> None:
    assert charts._ticks(values, 5) == pytest.approx(ticks)


def test_days_without_data_interrupt_a_line() -> None:
    days = [row[0] for row in sheets(drawn("full"))["stages_by_day"].rows[:4]]
    runs = charts._runs(days, [1.0, None, 2.0, 3.0])
    assert [[point["value"] for point in run] for run in runs] == [[1.0], [2.0, 3.0]]


def test_what_every_method_has_to_fear_is_said_once() -> None:
    results = full()
    (tested, *others) = results.tests
    lift = next(each for each in tested.lifts if isinstance(each, Lift))
    both = replace(
        tested,
        lifts=(
            replace(lift, method="difference in differences", caveats=("Spill-over.", "Drift.")),
            replace(lift, method="synthetic control", caveats=("Misfit.", "Spill-over.")),
        ),
    )

    made = sections(replace(results, tests=(both, *others)))

    (said, *_) = [
        block.items
        for section in made
        for block in section.blocks
        if isinstance(block, Points) and block.title == "What would make it wrong"
    ]
    assert said == ("Spill-over.", "Difference in differences: Drift.", "Synthetic control: Misfit.")
