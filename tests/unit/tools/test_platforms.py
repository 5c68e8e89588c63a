"""Files of custom platforms: read, refused with line and reason, and put into the one that the function reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from conversion_relay.sources import custom
from conversion_relay.sources.custom.format import Part, Platform
from tests.unit.sources.platforms import definition
from tools import cli, platforms
from tools.platforms import BadPlatform

GOOD = """\
about: a platform
verify: {kind: header, header: X-Token}
conversion:
  type: lead_created
  id: id
  time:
    from: at
    format: iso
  action_source: offline
"""


def refused(folder: Path, text: str, name: str = "acme.yaml") -> str:
    path = folder / name
    path.write_text(text)
    with pytest.raises(BadPlatform) as problem:
        platforms.platform(path)
    return str(problem.value).replace(f"{path}:", "")


def test_a_good_file_has_its_defaults_filled_in(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(GOOD)

    held = platforms.platforms(tmp_path)["acme"]

    assert (held["methods"], held["body"], held["retries"]) == (["POST"], "json", True)
    assert held["conversion"]["time"] == {"from": "at", "format": "iso"}
    assert Platform.model_validate(held)


def test_json_is_read_as_yaml_is(tmp_path: Path) -> None:
    (tmp_path / "as_yaml.yaml").write_text(GOOD)
    (tmp_path / "as_json.json").write_text(json.dumps(platforms.platform(tmp_path / "as_yaml.yaml"), indent=2))

    found = platforms.platforms(tmp_path)

    assert found["as_yaml"] == found["as_json"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format: iso", "format: ISO", "8: conversion.time.format must be one of iso, unix_s, unix_ms, rfc2822"),
        ("format: iso", "form: iso", "6: conversion.time.format is missing"),
        ("  id: id", "  id: id\n  colour: red", "6: conversion.colour is no key that is known here"),
        ("  id: id", "  id: id\n  id: key", "6: id stands here for the second time"),
        ("  id: id", "  id: data.[", "5: conversion.id is no JMESPath expression"),
        ("  id: id", "  id: nth(id)", "5: conversion.id calls nth(), which is no function of JMESPath or of the relay"),
        ("  id: id", "  id: split(id)", "5: conversion.id calls split() with 1 arguments; it takes 2"),
        ("  id: id", "  id: max(a, b)", "5: conversion.id calls max() with 2 arguments; it takes 1"),
        ("  id: id", "  id: not_null()", "5: conversion.id calls not_null() with 0 arguments; it takes 1"),
        ("  id: id", "  id: 7", "5: conversion.id must be text (put it in quotes)"),
        ("  id: id", "  id: ''", "5: conversion.id must not be empty"),
        ("lead_created", "purchase", "4: conversion.type must be one of page_viewed, contents_viewed"),
        ("lead_created", "{from: a, map: {x: purchase}}", "4: conversion.type.map.x must be one of page_viewed"),
        ("lead_created", "custom", "3: conversion.custom_event_name goes with the type custom"),
        ("lead_created", "app_opened", "9: conversion.action_source must be mobile_app for app_installed"),
        ("offline", "website", "9: conversion.action_source must be one of web, mobile_app"),
        ("offline", "offline\n  call: {seconds: s}", "10: conversion.call only goes with action_source phone_call"),
        ("offline", "offline\n  plan_id: p", "10: conversion.plan_id only subscription_created"),
        ("offline", "offline\n  contents: {each: l}", "10: conversion.contents no event of type lead_created"),
        ("lead_created", "custom\n  custom_event_name: Custom", "5: conversion.custom_event_name must not be the name"),
        ("offline", "offline\n  custom_event_name: order_created", "10: conversion.custom_event_name goes with"),
        (
            "offline",
            "phone_call\n  call: {seconds: s, repeat: r, first_time: f}",
            "10: conversion.call.repeat give first_time or repeat, not both",
        ),
        (
            "offline",
            "offline\n  value: {amount: a, unit: major, currency: EURO}",
            "10: conversion.value.currency must be an active ISO 4217 code in capitals, such as USD",
        ),
        ("format: iso", "format: iso\n    zone: Chicago", "9: conversion.time.zone must be the name of a time zone"),
        ("kind: header,", "kind: magic,", "2: verify.kind must be one of hmac, standard_webhooks, header, basic"),
        ("{kind: header, header: X-Token}", "magic", "2: verify must be a group of keys"),
        ("header: X-Token", "header: X Token", "2: verify.header must look like ^[A-Za-z0-9-]{1,100}$"),
        ("kind: header", "kind: hmac, content: '{time}.{body}'", "2: verify.content a {time} needs time or fields"),
        ("kind: header", "kind: hmac, content: '{when}{body}'", "2: verify.content {when} is unknown"),
        ("kind: header", "kind: hmac, content: static", "2: verify.content must contain {body}"),
        ("kind: header", "kind: hmac, content: '{time}{body}', fields: {time: t}", "2: verify.fields names both"),
        ("kind: header", "kind: hmac, tolerance_seconds: 0", "2: verify.tolerance_seconds must be at least 1"),
        ("verify: {", "body: query\nverify: {kind: body_token, field: t} #{", "3: verify.kind body_token needs a body"),
        ("verify: {", "body: query\nverify: {kind: standard_webhooks} #{", "3: verify.kind standard_webhooks signs"),
        (
            "conversion:",
            "handshake: {kind: query, parameter: c}\nconversion:",
            "3: handshake.kind query is a GET, which is not among the methods",
        ),
        ("about: a platform", "methods: []\nabout: a", "1: methods must not be empty"),
        ("about: a platform", "retries: 'no'\nabout: a", "1: retries must be true or false"),
        ("about: a platform", "filters: {}\nabout: a", "1: filters must be a list"),
        ("about: a platform", "about: " + "x" * 201, "1: about must be no longer than 200"),
        ("about: a platform", "about: &a x\nfilters: *a", "1: anchors and aliases (& and *) are not taken"),
        ("about: a platform", "about: !!binary x", "1: tag:yaml.org,2002:binary is not taken"),
        ("about: a platform", "[a]: x", "1: a key must be a word"),
        ("about: a platform", "about: 'a", "10: is no YAML: found unexpected end of stream"),
        ("about: a platform", "about: \x00", "1: is no YAML"),
        ("about: a platform", "about: " + "[" * 5000 + "]" * 5000, "1: is nested too deep"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_line_and_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert refused(tmp_path, GOOD.replace(old, new, 1)).startswith(said)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = refused(tmp_path, GOOD.replace("iso", "ISO").replace("offline", "shop").replace("about", "abut"))

    assert [line.partition(" must")[0].partition(" is")[0] for line in told.splitlines()] == [
        "1: about", "8: conversion.time.format", "9: conversion.action_source", "1: abut",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Acme.yaml", "1: the file must be called NAME.yaml"),
        ("a.yaml", "1: the file must be called NAME.yaml"),
        ("acme.txt", "1: the file must be called NAME.yaml"),
        ("shopify.yaml", "1: shopify is the name of a source with a module of its own"),
    ],
)
def test_a_file_is_named_as_its_platform(tmp_path: Path, name: str, said: str) -> None:
    assert refused(tmp_path, GOOD, name).startswith(said)


def test_what_is_no_text_at_all_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, "") == "1: is empty"
    (tmp_path / "acme.yaml").write_bytes(b"\xff")
    with pytest.raises(BadPlatform, match="is not UTF-8 text"):
        platforms.platform(tmp_path / "acme.yaml")
    with pytest.raises(BadPlatform, match="cannot be read"):
        platforms.platform(tmp_path / "none.yaml")
    assert refused(tmp_path, "5") == "1: the file must be a group of keys"


def test_yaml_s_traps_stay_text(tmp_path: Path) -> None:
    # In YAML 1.1 these are False, True, a date, a number in base 60 and an octal number
    answers = "{no: lead_created, on: lead_created, 2026-11-20: lead_created, 12:30: lead_created, 010: lead_created}"
    (tmp_path / "acme.yaml").write_text(GOOD.replace("lead_created", "{from: answer, map: " + answers + "}"))

    held = platforms.platform(tmp_path / "acme.yaml")

    assert list(held["conversion"]["type"]["map"]) == ["no", "on", "2026-11-20", "12:30", "010"]


def test_two_files_of_one_name_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "acme.yaml").write_text(GOOD)
    (tmp_path / "acme.json").write_text("{}")

    with pytest.raises(BadPlatform) as problem:
        platforms.platforms(tmp_path)

    assert "acme.yaml:1: there is a platform of this name already, in acme.json" in str(problem.value)
    status = cli.main(["platform", "check", str(tmp_path / "acme.yaml"), str(tmp_path / "acme.json")])
    assert status == 1
    assert "acme.json:1: there is a platform of this name already, in acme.yaml" in capsys.readouterr().err


# The command, and the build -------------------------------------------------------------------------------------------


def test_the_command_says_of_each_file_whether_it_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD)
    bad.write_text(GOOD.replace("iso", "unix"))

    status = cli.main(["platform", "check", str(good), str(bad)])

    told = capsys.readouterr()
    assert status == 1
    assert told.out == f"{good}: good (a platform)\n"
    assert told.err == f"{bad}:8: conversion.time.format must be one of iso, unix_s, unix_ms, rfc2822\n"


def test_every_file_here_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["platform", "check"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(platforms.files())


def test_the_build_makes_the_same_file_again_and_the_function_reads_it(tmp_path: Path) -> None:
    once, again = tmp_path / "1.json", tmp_path / "2.json"

    assert platforms.main(["build", str(platforms.FOLDER), str(once)]) == 0
    assert platforms.main(["build", str(platforms.FOLDER), str(again)]) == 0

    assert once.read_bytes() == again.read_bytes()
    assert [source.name for source in custom.sources_in(once)] == [path.stem for path in platforms.files()]


def test_the_build_refuses_a_bad_file_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "acme.yaml").write_text(GOOD.replace("iso", "unix"))

    assert platforms.main(["build", str(tmp_path), str(tmp_path / "made.json")]) == 1
    assert "acme.yaml:8: conversion.time.format must be one of" in capsys.readouterr().err
    assert not (tmp_path / "made.json").exists()
    assert platforms.main(["bild"]) == 2


@pytest.mark.parametrize("held", [None, "", "[]", "{}", '{"platform": {}}'])
def test_without_its_platforms_the_function_does_not_start(tmp_path: Path, held: str | None) -> None:
    path = tmp_path / "platforms.json"
    if held is not None:
        path.write_text(held)

    with pytest.raises(custom.PlatformsMissing, match=r"platforms\.json is missing or unreadable: build the function"):
        custom.sources_in(path)


# What is derived from the format --------------------------------------------------------------------------------------


def test_the_schema_is_that_of_the_models() -> None:
    assert platforms.SCHEMA.read_text(encoding="utf-8") == platforms.schema(), "run python -m tools.platforms write"


def test_the_reference_is_that_of_the_models() -> None:
    page = platforms.REFERENCE.read_text(encoding="utf-8")
    assert page == platforms.documented(page), "run python -m tools.platforms write"


def test_every_key_is_explained() -> None:
    def parts(part: type[Part]) -> set[type[Part]]:
        return {part}.union(*(parts(each) for each in part.__subclasses__()))

    assert parts(Part) - {Part} == set(platforms.PARTS)
    silent = [
        f"{part.__name__}.{name}"
        for part in platforms.PARTS
        for name, each in part.model_fields.items()
        if name != "kind" and not each.description
    ]
    assert silent == []


def test_what_was_written_with_defaults_is_read_the_same() -> None:
    held: dict[str, Any] = definition()

    assert Platform.model_validate(held) == Platform.model_validate(
        Platform.model_validate(held).model_dump(mode="json", by_alias=True, exclude_none=True)
    )
