"""The conformance kit catches more wrong handlers, each by the test that is named for what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import usable
from tests.support.measured_once import once
from tests.support.requirements import SMOKE
from tests.testing.failures import failures

pytestmark = [pytest.mark.heavy, pytest.mark.smoke]

HANDLERS = Path(__file__).with_name("more_wrong_handlers.py")

# What is wrong, the test that has to fail, and what it says.
CAUGHT = {
    "ProgramNameDropped": ("arguments_arrive_unchanged", "expected process.args as it is"),
    "VariableAdded": ("environment_arrives_unchanged", "expected process.env as it is"),
    "WorkingDirectoryIgnored": ("relative_paths_start_in_the_working_directory", "relative paths start in process.cwd"),
    "StdinHasNoEnd": ("stdin_ends", "its stdin has no end"),
    "StdinInherited": ("stdin_of_the_process_is_not_read", "the guest was given nothing, and has read"),
    "OutputCut": ("large_streams_are_whole", "65536 bytes of 524288"),
    "ErrorOutputCut": ("large_stderr_is_whole", "on stderr the guest wrote 65536 bytes of 262144"),
    "DescriptorMadeNonBlocking": ("descriptors_take_and_give_and_stay_open", "was made non-blocking"),
    "ExitCodeCutTo7Bits": ("exit_codes_arrive", "128: 'EXITED with 0'"),
    "TrapReportedAsExit1": ("trap_is_reported_as_a_trap", "gave EXITED with 1"),
    "ReadOnlyIgnoredWithinAMount": ("read_only_is_each_mounts_own", r"/first/inner \(ro\)"),
    "ReadOnlyIgnoredForFiles": ("read_only_is_each_mounts_own", r"/fixed \(ro\)"),
    "OneSourceForAllMounts": ("mounts_are_told_apart", "a mount has what is in another one"),
    "FirstMountWins": ("mounts_hide_earlier_ones", "the later of two mounts hides the earlier one"),
    "MountPointsMade": ("root_is_not_given_mount_points", "the run left something in the root"),
    "OutputOfAnEarlierRunKept": ("second_run_begins_anew", "a run has seen an earlier one's"),
    "ProgramKnownByItsPath": ("changed_program_is_run_as_it_is_now", "was run as what its path had before"),
    "MemoryKept": ("no_memory_is_left", "12 guests with 8 MiB each have left"),
    "OneAtATime": ("guest_that_waits_holds_up_no_other", "a guest was held up until another one"),
    "ConcurrentRunsMixed": ("threads_run_guests_at_once", "some got another's output"),
    "SignalSwallowed": ("signal_in_a_call_ends_no_guest_well", "the guest ended with 0"),
    "MainThreadAlone": ("stdin_ends", "RuntimeError: runs on the main thread alone"),
    "VariableLeft": ("first_run_leaves_the_process_as_it_was", r"first run in this process changed os\.environ"),
    "VariablePut": ("environment_of_child_processes_is_left_alone", "was changed during the run"),
    "SignalsBlocked": ("signal_mask_is_left_alone", "the signal mask of the process was changed during the run"),
    "TimerLeft": ("timers_are_left_alone", "a timer of the process was changed by the run"),
    "ResourceLimitChanged": (
        "resource_limits_are_left_alone",
        "resource limits or the priority of the process was changed",
    ),
    "RandomSeeded": ("interpreter_is_left_alone", "the state of the module random was changed"),
    "FractionsOfSecondsDropped": ("time_limit_may_be_less_than_a_second", r"a limit of 0\.2 s didn't hold"),
    "MemoryLimitOfWholeMegabytes": ("memory_limit_is_the_last_page_that_fits", r"gave \[3, 3\], and not 3 and 7"),
    "DurationInMilliseconds": ("duration_is_measured", "the guest ran for 0.2 to"),
    "DirectoriesNotListed": ("calls_do_what_they_are_asked_to", "some functions failed: {'fd_readdir': 'errno 52'}"),
    "InvalidModuleReportedAsExit": ("damaged_module_is_refused", "DID NOT RAISE"),
}
# What the kit catches doesn't differ between Pythons: of each kind of test one is enough on the others.
TRIED = ("ReadOnlyIgnoredWithinAMount", "OutputOfAnEarlierRunKept", "VariableLeft") if SMOKE else tuple(CAUGHT)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Of each wrong handler the test that failed, with its message."""
    usable("wasmtime")
    tests = [f"Test{name}::test_{CAUGHT[name][0]}" for name in TRIED]
    return once(tmp_path_factory, "more-wrong-handlers", lambda: failures(HANDLERS, tests))


@pytest.mark.parametrize("handler", TRIED)
@pytest.mark.timeout(300)
def test_wrong_handler_is_caught_by_name(found: dict[str, dict[str, str]], handler: str) -> None:
    """The test that is named for it fails, and says what is wrong."""
    test, message = CAUGHT[handler]
    assert re.search(message, found[handler][test])
