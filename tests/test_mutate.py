"""The mutation tests know what they are about: they are run by hand, so nobody else would notice."""

from __future__ import annotations

import mutate


def test_every_module_and_each_of_its_tests_is_there() -> None:
    paths = [mutate.ROOT / "kinde_guard" / f"{module}.py" for module in mutate.TESTS]
    paths += [mutate.ROOT / "tests" / name for names in mutate.TESTS.values() for name in names]
    assert [path for path in paths if not path.exists()] == []
