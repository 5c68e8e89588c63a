"""The ``relay`` command as a whole."""

import argparse

import pytest

from tools import cli, status


def test_ctrl_c_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(_: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(status, "run", interrupted)

    assert cli.main(["status"]) == 130
    assert capsys.readouterr().err == "relay status: interrupted.\n"
