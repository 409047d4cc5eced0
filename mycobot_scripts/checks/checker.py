"""Collects what was found, check by check, and tells each finding at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

from mycobot_scripts.checks.findings import Finding
from mycobot_scripts.robot import BUSY

TIMED = r"line|command rate|lag|motion|start pose|camera \w+"  # findings that a slow computer causes


class Checker:
    """Collects findings, printing each at once. The twin has no cables: what is slow is the computer.

    Args:
        is_twin: whether the arm is one.
        show: shows the person all of them (`Operator.show`).
    """

    def __init__(self, is_twin: bool = False, show: Callable[..., Any] | None = None) -> None:
        self.findings: list[Finding] = []
        self._show, self._is_twin = show, is_twin

    def add(self, findings: Iterator[Finding] | list[Finding]) -> None:
        for finding in findings:
            if self._is_twin and finding.level != "ok" and re.fullmatch(TIMED, finding.what):
                finding = replace(finding, advice=BUSY)
            self.findings.append(finding)
            print(finding.line(), flush=True)
            if self._show is not None:
                self._show(findings=[asdict(each) for each in self.findings])

    def attempt(self, what: str, check: Callable[[], Iterator[Finding]]) -> bool:
        """Run a check; an error in it is a finding too. Returns whether the check finished."""
        try:
            self.add(check())
        except Exception as error:
            is_known = isinstance(error, (RuntimeError, OSError))
            text = str(error) if is_known and str(error) else f"{type(error).__name__}: {error}"
            self.add([Finding(what, "bad", text, "mend that, then check again")])
            return False
        return True

    @property
    def may_move(self) -> bool:
        """Whether the arm is sure to be where it reports."""
        return not any(finding.what == "port" and finding.level == "bad" for finding in self.findings)
