"""The answer to which handlers are installed, which is kept from one start to the next.

Each test asks in a Python of its own, with a cache of its own. There files count as settled that have just changed, but where a test is
about that.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.dispatch.site import OURS, Site
from tests.support.requirements import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ASK = """
import json, sys
from wasmoci.dispatch import registry
from wasmoci.host import file_cache
file_cache.SETTLED = 0
names = registry.default().names()
print(json.dumps([names, "stevedore" in sys.modules]))
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A directory with one distribution."""
    made = Site(tmp_path / "site")
    made.add("alpha", "alpha")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the answer is kept."""
    return tmp_path / "cache" / "wasmoci" / "handlers.json"


def ask(site: Site, **variables: str) -> tuple[set[str], bool]:
    """The names that are found besides ours, and whether stevedore was asked."""
    names, asked = site.run(ASK, **{"WASMOCI_CACHE": "", **variables})
    assert set(names) >= OURS
    return set(names) - OURS, asked


def test_answer_is_kept(site: Site, file: Path) -> None:
    """Stevedore is asked once, and its answer kept for the user alone."""
    assert ask(site) == ({"alpha"}, True)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == ["handlers.json"]
    assert ask(site) == ({"alpha"}, False)


def test_kept_answer_has_all_that_is_told(site: Site) -> None:
    """What a kept answer says of a handler is what stevedore has said."""
    script = ASK.replace("[names,", "[[status.to_dict() for status in registry.default().statuses()],")
    first, asked = site.run(script, WASMOCI_CACHE="")
    assert asked
    assert site.run(script, WASMOCI_CACHE="") == [first, False]
    assert "alpha 1.2" in {status["distribution"] for status in first}


def install(site: Site) -> None:
    """Install another distribution."""
    site.add("beta", "beta")


def replace(site: Site) -> None:
    """Replace the distribution by another."""
    shutil.rmtree(site.path / "alpha-1.2.dist-info")
    site.add("beta", "beta")


def rewrite(site: Site) -> None:
    """Change its entry points in place, as a build does, which changes the time of no directory."""
    points = site.path / "alpha-1.2.dist-info" / "entry_points.txt"
    points.write_text(points.read_text() + "beta = alpha:Handler\n")


@pytest.mark.parametrize("change", [install, replace, rewrite])
def test_change_is_noticed_at_once(site: Site, change: Callable[[Site], None]) -> None:
    """What is installed, removed or changed is found at the next start."""
    ask(site)
    change(site)
    names = {"beta"} if change is replace else {"alpha", "beta"}
    assert ask(site) == (names, True)
    assert ask(site) == (names, False)


def test_what_has_just_changed(site: Site, file: Path) -> None:
    """Of files that could change again at the same time of a coarse clock nothing is kept."""
    script = ASK.replace("SETTLED = 0", "SETTLED = 10**15")
    assert [site.run(script, WASMOCI_CACHE="")[1] for _ in range(2)] == [True, True]
    assert not file.exists()


BAD: dict[str, Callable[[Path], Any]] = {
    "empty": lambda file: file.write_bytes(b""),
    "no JSON": lambda file: file.write_bytes(b"\xff{"),
    "a list": lambda file: file.write_text("[1]"),
    "other values": lambda file: file.write_text(json.dumps(dict.fromkeys(json.loads(file.read_text()), 5))),
    "other handlers": lambda file: file.write_text(
        json.dumps({state: [["a"]] for state in json.loads(file.read_text())})
    ),
    "deep": lambda file: file.write_text("[" * 100_000),
    "a link": lambda file: (file.rename(file.with_name("aside")), file.symlink_to("aside")),
    "another name of it": lambda file: os.link(file, file.with_name("aside")),
    "writable by others": lambda file: file.chmod(0o666),
    "a directory": lambda file: (file.unlink(), file.mkdir()),
    "a FIFO": lambda file: (file.unlink(), os.mkfifo(file)),
    "its directory writable by others": lambda file: file.parent.chmod(0o777),
    "its directory a link": lambda file: (
        file.parent.rename(file.parent.with_name("aside")),
        file.parent.symlink_to("aside"),
    ),
}


@pytest.mark.parametrize("damage", BAD.values(), ids=BAD)
def test_bad_answer_is_not_believed(site: Site, file: Path, damage: Callable[[Path], Any]) -> None:
    """Where the answer is damaged, or somebody else could have written it, stevedore is asked, and nothing fails."""
    ask(site)
    damage(file)
    assert ask(site) == ({"alpha"}, True)


def test_answer_of_another_user(site: Site, file: Path) -> None:
    """What another user has put there names code of that user's choice, and isn't believed."""
    require(os.geteuid() == 0, "only root can make files of another user's")
    ask(site)
    os.chown(file, 1234, 1234)
    assert ask(site) == ({"alpha"}, True)
    os.chown(file, 0, 0)
    assert ask(site) == ({"alpha"}, False)
    os.chown(file.parent, 1234, 1234)
    assert ask(site) == ({"alpha"}, True)


def test_nothing_is_kept_where_caches_are_off(site: Site, file: Path) -> None:
    """``WASMOCI_CACHE=off`` leaves nothing behind."""
    for _ in range(2):
        assert ask(site, WASMOCI_CACHE="off") == ({"alpha"}, True)
    assert not file.exists()
    assert not (site.path.parent / "cache").exists()


def test_number_of_answers_is_bounded(site: Site, file: Path) -> None:
    """The oldest answer goes when there are many."""
    ask(site)
    (kept,) = json.loads(file.read_text()).items()
    others = {f"{number}": [] for number in range(40)}
    file.write_text(json.dumps(others))
    assert ask(site) == ({"alpha"}, True)
    answers = json.loads(file.read_text())
    assert list(answers.items())[-1] == kept
    assert list(answers)[:-1] == [f"{number}" for number in range(9, 40)]


def test_finder_of_its_own(site: Site) -> None:
    """Distributions that are found in another way than on the path can't be looked at, so stevedore is always asked."""
    script = (
        """
class Finder:
    def find_spec(*_): return None
    def find_distributions(*_): return ()
import sys
sys.meta_path.append(Finder)
"""
        + ASK
    )
    assert [site.run(script, WASMOCI_CACHE="")[1] for _ in range(2)] == [True, True]
