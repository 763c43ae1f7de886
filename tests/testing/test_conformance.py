"""The conformance kit catches wrong handlers, each by the test that is named for what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import usable
from tests.support.requirements import SMOKE

ROOT = Path(__file__).parents[2]
HANDLERS = Path(__file__).with_name("wrong_handlers.py")

# What is wrong, the tests that have to fail, and what one of them says.
CAUGHT = {
    "ExitCodeLost": ({"exit_codes_arrive"}, "the guest exited with a code"),
    "ExitCodeCut": ({"exit_codes_are_not_cut_to_8_bits"}, r"exit\(256\) gave EXITED with 0"),
    "EnvironmentTrimmed": ({"environment_arrives_unchanged"}, "expected process.env as it is"),
    "EmptyArgumentsDropped": ({"arguments_arrive_unchanged"}, "expected process.args as it is"),
    "PreopenTooWide": (
        {"nothing_else_is_preopened", "preopens_are_those_of_the_spec"},
        "of a spec without mounts there is '/' alone",
    ),
    "ReadOnlyRootIgnored": ({"read_only_root_stays_as_it_is"}, "write in a read-only root changed the host's files"),
    "ReadOnlyMountIgnored": ({"read_only_mount_stays_as_it_is"}, "write in a read-only mount changed the host's files"),
    "StdoutPatched": ({"streams_are_left_alone"}, "were patched during the run"),
    "DirectoryChanged": ({"working_directory_is_left_alone"}, "was changed during the run"),
    "EnvironmentChanged": ({"environment_is_left_alone"}, "was changed during the run"),
    "DescriptorLeaked": ({"no_descriptor_is_left_open"}, "descriptors were left open by runs"),
    "ThreadLeft": ({"no_thread_is_left_running"}, "threads were left running by runs"),
    "TemporaryFileLeft": ({"no_temporary_file_is_left"}, "temporary files were left by runs"),
    "UmaskChanged": ({"umask_is_left_alone"}, "the umask of the process was changed during the run"),
    "SignalHandlerLeft": ({"signal_handlers_are_left_alone"}, "a signal handler was changed by the run"),
    "BacktraceLost": ({"trap_has_a_backtrace"}, "the result of a trap has no backtrace"),
    "MessageLost": ({"trap_has_a_message"}, "a trap has no message"),
    "TrapReportedAsExit": ({"trap_is_reported_as_a_trap"}, "expected TRAPPED with 134"),
    "StdinIgnored": ({"stdin_and_stdout_are_exact"}, "the guest was given"),
    "StderrMerged": ({"stdout_and_stderr_are_apart"}, "expected what was written to it alone"),
    "OutputBeforeATrapLost": ({"output_before_a_trap_arrives"}, "what was written before the trap is lost"),
    "OutputKeptBack": ({"output_arrives_while_the_guest_runs"}, "its output didn't arrive"),
    "TimeLimitIgnored": ({"time_limit_holds"}, r"a limit of 0\.3 s didn't hold"),
    "MemoryLimitIgnored": ({"memory_limit_holds", "memory_limit_of_the_spec_holds"}, "a limit of 8 MiB didn't hold"),
    "FuelIgnored": ({"fuel_limit_holds"}, "a limit of a million instructions didn't hold"),
    "ValidateRunsTheGuest": ({"validate_runs_nothing"}, "validate ran the guest"),
    "ProcessExited": ({"named_function_is_called"}, r"execute called sys\.exit\(9\)"),
}
# What breaks with it, because there is no other way for it to be seen.
ALSO = {
    "ExitCodeLost": {"named_function_is_called", "guest_may_cope_with_a_memory_limit"},
    "ReadOnlyMountIgnored": {"read_only_is_each_mounts_own"},
    "EnvironmentChanged": {"environment_of_child_processes_is_left_alone"},
    "SignalHandlerLeft": {"first_run_leaves_the_process_as_it_was"},
    "StderrMerged": {"large_stderr_is_whole"},
    "StdinIgnored": {
        "captures_are_bounded",
        "descriptors_take_and_give_and_stay_open",
        "files_take_and_give",
        "large_streams_are_whole",
        "output_arrives_while_the_guest_runs",
    },
    "MemoryLimitIgnored": {"guest_may_cope_with_a_memory_limit", "memory_limit_holds_from_the_beginning"},
}
# What the kit catches doesn't differ between Pythons: of each kind of test one is enough on the others.
TRIED = ("ExitCodeLost", "ReadOnlyRootIgnored", "DescriptorLeaked", "TimeLimitIgnored") if SMOKE else tuple(CAUGHT)
# Tests that are slow, or go past the handler's own ``execute``, or are several ways to see the same.
LEFT_OUT = (
    "worker",
    "duration",
    "feature",
    "waits",
    "inherited",
    "components",
    "changes_nothing",
    "is_given",
    "threads",
    "memory_is_left",
    "holds_up",
)


@pytest.fixture(scope="module")
def failures() -> dict[str, dict[str, str]]:
    """Of each wrong handler the tests that failed, with their messages."""
    usable("wasmtime")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *(f"{HANDLERS}::Test{name}" for name in ("Wrong", *TRIED)),
        "-o",
        "python_files=wrong_handlers.py",
        "-o",
        "addopts=",
    ]
    command += ["--import-mode=importlib", "--tb=no", "-rf", "-p", "no:cacheprovider"]
    command += ["-k", " and ".join(f"not {name}" for name in LEFT_OUT)]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "400"}
    )
    found: dict[str, dict[str, str]] = {name: {} for name in ("Wrong", *TRIED)}
    pattern = re.compile(r"^FAILED \S+::Test(\w+)::test_(\w+?)(?:\[.*?\])? - (.*)$", re.MULTILINE)
    for handler, test, message in pattern.findall(run.stdout):
        found[handler].setdefault(test, message)
    assert found["Wrong"] == {}, "a handler that changes nothing passes"
    return found


@pytest.mark.parametrize("handler", TRIED)
@pytest.mark.timeout(300)
def test_wrong_handler_is_caught_by_name(failures: dict[str, dict[str, str]], handler: str) -> None:
    """The tests that are named for it fail and say what is wrong, and no others do."""
    names, message = CAUGHT[handler]
    assert names <= set(failures[handler]) <= names | ALSO.get(handler, set())
    assert re.search(message, " ".join(failures[handler].values()))
