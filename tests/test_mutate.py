"""The mutation tests know what they are about: they are run by hand, so nobody else would notice."""

from __future__ import annotations

import re

import mutate
import pytest


def test_every_module_and_each_of_its_tests_is_there() -> None:
    paths = [mutate.ROOT / "kinde_guard" / f"{module}.py" for module in mutate.TESTS]
    paths += [mutate.ROOT / "tests" / name for names in mutate.TESTS.values() for name in names]
    assert [path for path in paths if not path.exists()] == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "docs/security.md"])
def test_what_a_page_says_to_run_is_there(page: str) -> None:
    text = mutate.ROOT.joinpath(page).read_text(encoding="utf-8")
    commands = re.findall(r"tests/mutate\.py([^`]*)`", text)
    assert commands
    assert {module for command in commands for module in command.split()} <= set(mutate.TESTS)
