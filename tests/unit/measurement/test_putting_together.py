"""Several inputs for one table: what is added up, what counts once, what contradicts, and what is left as it was."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from measurement import inputs
from measurement.engine import arrow_schema
from measurement.inputs.rows import BadRows
from measurement.problems import BadInput
from measurement.settings import Input, Settings
from tests.unit.measurement import importing
from tests.unit.measurement.importing import entry, imported

SPEND = "day,channel,campaign,impressions,clicks,spend,currency\n"
SEPTEMBER = SPEND + "2026-09-01,chatgpt,fall,10,2,3.50,USD\n2026-09-02,chatgpt,fall,20,4,7.00,USD\n"


def written(folder: Path, **files: str) -> None:
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content)


def spends(rows: Mapping[str, Any]) -> dict[date, int]:
    return {row["day"]: row["spend"] for row in rows["ads"]}


def test_exports_that_overlap_with_the_same_numbers_count_once(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER, b=SEPTEMBER.replace("2026-09-01", "2026-09-03"))
    rows, notes = imported(tmp_path, entry("spend", file="a.csv"), entry("spend", file="b.csv"))
    assert spends(rows) == {date(2026, 9, 1): 350, date(2026, 9, 2): 700, date(2026, 9, 3): 350}
    assert (
        "b.csv: 1 row of ads dropped, whose day, channel, campaign stand in another row too (line 3); it counts once."
        in notes
    )


def test_exports_that_overlap_with_other_numbers_contradict(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER, b=SEPTEMBER.replace("7.00", "7.01").replace("3.50", "3.51"))
    with pytest.raises(BadInput) as problem:
        imported(tmp_path, entry("spend", files=["a.csv", "b.csv"]))
    assert isinstance(problem.value, BadRows)
    assert [(each.where, each.line) for each in problem.value.problems] == [("b.csv", 2), ("b.csv", 3)]
    first = str(problem.value).splitlines()[0]
    assert first.startswith(
        "b.csv:2: the table ads has this day, channel, campaign already, in a.csv:2, with other values."
    )
    assert first.endswith("say sum = true in the second.")
    assert not list((tmp_path / "workspace").iterdir())


def test_a_file_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER)
    rows, _ = imported(tmp_path, entry("spend", file="a.csv"), replace(entry("spend", file="a.csv"), line=20))
    assert spends(rows) == {date(2026, 9, 1): 350, date(2026, 9, 2): 700}


def test_two_accounts_are_added_up_where_the_settings_say_so(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER, b=SEPTEMBER.replace("7.00", "7.01"))
    rows, _ = imported(tmp_path, entry("spend", file="a.csv"), entry("spend", file="b.csv", sum=True))
    assert spends(rows) == {date(2026, 9, 1): 700, date(2026, 9, 2): 1401}


def test_rows_of_one_file_that_are_split_finer_are_added_up_and_nothing_stays_nothing(tmp_path: Path) -> None:
    written(tmp_path, a=SPEND + "2026-09-01,chatgpt,fall,10,,1.00,USD\n2026-09-01,chatgpt,fall,,,2.00,USD\n")
    rows, _ = imported(tmp_path, entry("spend", file="a.csv"))
    assert [(row["impressions"], row["clicks"], row["spend"]) for row in rows["ads"]] == [(10, None, 300)]


def test_orders_that_contradict_each_other_are_refused_and_the_same_ones_count_once(tmp_path: Path) -> None:
    one = "order_id,at,value,currency\n1,2026-09-01T10:00:00Z,5,USD\n"
    written(tmp_path, a=one, b=one.replace("5,", "6,"), c=one)
    rows, notes = imported(tmp_path, entry("orders", files=["a.csv", "c.csv"]))
    assert len(rows["orders"]) == 1
    assert any(each.startswith("c.csv: 1 row of orders dropped") for each in notes)
    with pytest.raises(
        BadInput, match=r"b\.csv:2: the table orders has this source, type, order_id already, in a\.csv:2"
    ):
        imported(tmp_path, entry("orders", files=["a.csv", "b.csv"]))


def test_an_order_name_that_two_orders_have_is_no_name_of_either(tmp_path: Path) -> None:
    head = "order_id,name,at,value,currency\n"
    written(
        tmp_path,
        a=head
        + "61,#1,2026-09-01T10:00:00Z,5,USD\n62,#1,2026-09-01T11:00:00Z,5,USD\n63,#3,2026-09-01T12:00:00Z,5,USD\n",
        b="order_id,person\n#1,p\n#3,q\n",
    )
    rows, _ = imported(tmp_path, entry("orders", file="a.csv"), entry("links", file="b.csv"))
    assert {(row["order_id"], row["person"]) for row in rows["links"]} == {("#1", "p"), ("63", "q")}


def test_a_conversion_of_a_later_export_takes_the_place_of_the_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ledger(given: Input, _: Settings) -> Iterator[tuple[str, Mapping[str, Any]]]:
        row = {
            "conversion": "order_created#shopify:1", "type": "order_created", "source": "shopify",
            "action_source": "web", "at_ms": 1_788_356_470_000, "clicked": True, "match_keys": "",
            "status": given.options["status"],
        }  # fmt: skip
        yield "conversions", row

    monkeypatch.setattr(inputs, "IMPORTERS", {"first": ledger, "second": ledger})
    rows, notes = imported(tmp_path, entry("first", status="recorded"), entry("second", status="sent"))
    assert [row["status"] for row in rows["conversions"]] == ["sent"]
    assert (
        "first: 1 row of conversions dropped, whose conversion stands in another row too; the latest input counts."
        in notes
    )


def test_rows_of_an_importer_that_do_not_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(given: Input, _: Settings) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from given.options["rows"]

    monkeypatch.setattr(inputs, "IMPORTERS", {"broken": broken})
    with pytest.raises(BadInput, match=r"broken: person is empty\. It says who"):
        imported(tmp_path, entry("broken", rows=[("links", {"order_id": "1"})]))
    with pytest.raises(BadRows, match="reading stopped after 20 problems"):
        imported(tmp_path, entry("broken", rows=[("linkz", {})] * 30))
    with pytest.raises(BadInput, match=r"there is no kind wrong\. Kinds are broken"):
        imported(tmp_path, entry("wrong"))


def test_many_rows_are_held_a_few_at_a_time_and_counted_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "CHUNK", 2)
    monkeypatch.setattr(inputs, "STEP", 3)
    written(tmp_path, a="order_id,person\n" + "".join(f"{each},p{each}\n" for each in range(7)))
    (tmp_path / "workspace" / ".inputs.duckdb.tmp").mkdir(parents=True)
    (tmp_path / "workspace" / ".inputs.duckdb").write_text("left by a run that was ended")
    said: list[str] = []
    done = inputs.run(
        importing.settings(tmp_path, entry("links", file="a.csv")), tmp_path / "workspace", progress=said.append
    )
    assert done.rows["links"] == 7
    assert said == ["links a.csv", "links a.csv: 3 rows …", "links a.csv: 6 rows …", "putting links together"]
    assert [each.name for each in (tmp_path / "workspace").iterdir()] == ["links.parquet"]


def test_an_input_whose_rows_all_say_nothing_is_said(tmp_path: Path) -> None:
    written(tmp_path, a="at,answer\n2026-09-02T10:00:00Z,\n2026-09-02T10:00:00Z,--\n")
    rows, notes = imported(tmp_path, entry("survey", file="a.csv"))
    assert rows == {}
    assert notes == ("a.csv: 2 rows without an answer left out.", "survey a.csv: no rows.")


def test_a_table_without_a_row_in_the_period_is_said(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER)
    _, notes = imported(tmp_path, entry("spend", file="a.csv"), first=date(2026, 10, 1), last=date(2026, 10, 31))
    assert (
        "ads: no row lies in the report's period, 2026-10-01 to 2026-10-31; they run from 2026-09-01 to 2026-09-02. "
        "What needs this table is not shown." in notes
    )


def test_touches_before_the_period_are_of_use(tmp_path: Path) -> None:
    written(tmp_path, a="person,at,channel\np1,2026-09-01T10:00:00Z,chatgpt\n")
    _, notes = imported(tmp_path, entry("touches", file="a.csv"), first=date(2026, 9, 2), last=date(2026, 9, 30))
    assert (
        "touches: no row lies in the report's period, 2026-09-02 to 2026-09-30; they run from 2026-09-01 to 2026-09-01."
        in notes
    )


def test_a_workspace_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER)
    (tmp_path / "workspace").write_text("a file")
    with pytest.raises(BadInput, match=r"workspace: cannot be written"):
        imported(tmp_path, entry("spend", file="a.csv"))


def test_what_an_earlier_run_wrote_stays_when_an_input_cannot_be_used(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER)
    imported(tmp_path, entry("spend", file="a.csv"))
    before = (tmp_path / "workspace" / "ads.parquet").read_bytes()
    written(tmp_path, a=SEPTEMBER.replace("2026-09-01", "soon"))
    with pytest.raises(BadInput):
        imported(tmp_path, entry("spend", file="a.csv"))
    assert [each.name for each in (tmp_path / "workspace").iterdir()] == ["ads.parquet"]
    assert (tmp_path / "workspace" / "ads.parquet").read_bytes() == before


def test_a_table_that_an_earlier_run_had_is_gone_when_no_input_has_it(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER, b="order_id,person\n1,p\n")
    imported(tmp_path, entry("spend", file="a.csv"))
    rows, _ = imported(tmp_path, entry("links", file="b.csv"))
    assert set(rows) == {"links"}


def test_progress_is_said_and_what_is_written_has_the_schema_of_the_engine(tmp_path: Path) -> None:
    written(tmp_path, a=SEPTEMBER)
    said: list[str] = []
    inputs.run(importing.settings(tmp_path, entry("spend", file="a.csv")), tmp_path / "workspace", progress=said.append)
    assert said == ["spend a.csv", "putting ads together"]
    assert pq.read_schema(tmp_path / "workspace" / "ads.parquet").equals(arrow_schema("ads"))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(1, 3), st.sampled_from(["chatgpt", "google_ads"]), st.integers(0, 99), st.integers(0, 9999)
        ),
        min_size=1,
        max_size=30,
        unique=True,
    )
)
def test_no_click_and_no_cent_is_lost_or_made(tmp_path: Path, given_rows: list[tuple[int, str, int, int]]) -> None:
    lines = [f"2026-09-0{day},{name},c,,{clicks},{cents / 100:.2f},USD\n" for day, name, clicks, cents in given_rows]
    written(tmp_path, a=SPEND + "".join(lines))
    rows, _ = imported(tmp_path, entry("spend", file="a.csv"))
    assert sum(row["clicks"] for row in rows["ads"]) == sum(clicks for _, _, clicks, _ in given_rows)
    assert sum(row["spend"] for row in rows["ads"]) == sum(cents for _, _, _, cents in given_rows)
    assert len(rows["ads"]) == len({(day, name) for day, name, _, _ in given_rows})
