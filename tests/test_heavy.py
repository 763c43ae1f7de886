"""What is left out on Pythons that needn't run all: never a kind of test."""

from __future__ import annotations

import pytest

from tests.support import heavy

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_light(number): pass

@pytest.mark.heavy
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("engine", ["wasmtime", "wasmer"])
def test_heavy(engine, number): pass

@pytest.mark.heavy
def test_alone(): pass

@pytest.mark.heavy
@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.smoke), 3])
def test_chosen(number): pass

@pytest.mark.real
def test_real(): pass

@pytest.mark.real
@pytest.mark.smoke
def test_real_everywhere(): pass
"""
LIGHT = {"test_light[0]", "test_light[1]", "test_light[2]", "test_alone", "test_chosen[2]", "test_real_everywhere"}


def collected(pytester: pytest.Pytester) -> list[pytest.Item]:
    """The tests, as pytest collects them."""
    pytester.makeini("[pytest]\nmarkers =\n  heavy\n  real\n  smoke")
    return pytester.inline_genitems("-p", "no:faulthandler", pytester.makepyfile(test_some=TESTS))[0]


@pytest.fixture
def kept(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What four Pythons in a row run."""
    monkeypatch.setattr(heavy, "SMOKE", True)
    monkeypatch.setattr(heavy, "WANTED", [])
    items = collected(pytester)
    found = []
    for minor in range(10, 14):
        monkeypatch.setattr(heavy, "_MINOR", minor)
        left = heavy.left_out(items)
        found.append({item.name for item in items if item not in left})
    return found


def test_each_function_has_a_case_for_each_engine(kept: list[set[str]]) -> None:
    """Each Python has another one, so that a few have all."""
    for number, names in zip((1, 2, 0, 1), kept, strict=True):
        assert names == LIGHT | {f"test_heavy[wasmtime-{number}]", f"test_heavy[wasmer-{number}]"}


def test_all_about_an_engine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an engine is another one than elsewhere nothing about it is left out."""
    monkeypatch.setattr(heavy, "SMOKE", True)
    monkeypatch.setattr(heavy, "WANTED", ["wasmer"])
    left = {item.name for item in heavy.left_out(collected(pytester))}
    assert not any("wasmer" in name for name in left)
    assert "test_real" in left


def test_all(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out where all is wanted."""
    monkeypatch.setattr(heavy, "SMOKE", False)
    assert heavy.left_out(collected(pytester)) == set()
