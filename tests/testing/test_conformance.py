"""The conformance kit catches wrong handlers, each by the test that is named for what is wrong."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

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
    "StderrBeforeATrapLost": (
        {"output_before_a_trap_arrives"},
        "stderr is b''; what was written before the trap is lost",
    ),
    "OuterFramesLost": ({"trap_has_a_backtrace"}, "'attempt' had called 'fault'"),
    "SecondOutputLost": ({"one_file_takes_both_outputs"}, "a file for both outputs was given"),
    "DescriptorTruncated": ({"descriptors_take_and_give_and_stay_open"}, "the descriptor was given"),
    "ReaderGoneIsAnError": ({"reader_that_is_gone_is_the_guests_to_handle"}, "BrokenPipeError"),
    "ErrorOfAFunctionWrapped": ({"error_of_a_function_reaches_the_caller"}, "the guest's output went nowhere"),
    "OwnEventLoop": ({"run_within_an_event_loop"}, "cannot be called from a running event loop"),
    "OneRunOnAThread": ({"run_within_a_run"}, "a guest runs already"),
    "ExitInStartIsATrap": ({"start_function_may_exit"}, r"proc_exit\(8\) in the start function gave TRAPPED"),
    "ReturnedValueIsTheExitCode": ({"result_of_a_function_is_no_exit_code"}, "a function's result gave EXITED with 7"),
    "PathOfTheRootEncoded": ({"host_path_need_not_be_text"}, "UnicodeEncodeError"),
    "EnginePrints": ({"nothing_is_printed"}, "wrote to the process's own: 'wasm trap"),
    "ChildLeft": ({"no_child_is_left"}, "child processes were left by runs"),
    "OutputKeptBack": ({"output_arrives_while_the_guest_runs"}, "its output didn't arrive"),
    "TimeLimitIgnored": ({"time_limit_holds"}, r"a limit of 0\.3 s didn't hold"),
    "MemoryLimitIgnored": ({"memory_limit_holds", "memory_limit_of_the_spec_holds"}, "a limit of 8 MiB didn't hold"),
    "FuelIgnored": ({"fuel_limit_holds"}, "a limit of a million instructions didn't hold"),
    "ValidateRunsTheGuest": ({"validate_runs_nothing"}, "validate ran the guest"),
    "ProcessExited": ({"named_function_is_called"}, r"execute called sys\.exit\(9\)"),
}
# What breaks with it, because there is no other way for it to be seen.
ALSO = {
    "ExitCodeLost": {
        "guest_may_cope_with_a_memory_limit",
        "named_function_is_called",
        "older_interface_is_provided_or_refused",
        "read_only_mount_stays_as_it_is",
        "read_only_root_stays_as_it_is",
        "reader_that_is_gone_is_the_guests_to_handle",
        "run_within_a_run",
        "start_function_may_exit",
    },
    "ThreadLeft": {"input_that_is_not_read_holds_nothing_up"},
    "MessageLost": {"refusal_of_memory_is_told"},
    "StderrMerged": {"large_stderr_is_whole", "output_before_a_trap_arrives"},
    "OwnEventLoop": {"run_within_a_run"},
    "OutputKeptBack": {"one_file_takes_both_outputs", "reader_that_is_gone_is_the_guests_to_handle"},
    "ReadOnlyMountIgnored": {"read_only_is_each_mounts_own"},
    "EnvironmentChanged": {"environment_of_child_processes_is_left_alone"},
    "SignalHandlerLeft": {"first_run_leaves_the_process_as_it_was"},
    "StdinIgnored": {
        "any_descriptor_gives",
        "captures_are_bounded",
        "descriptors_take_and_give_and_stay_open",
        "files_take_and_give",
        "large_streams_are_whole",
        "output_arrives_while_the_guest_runs",
    },
    "MemoryLimitIgnored": {
        "guest_may_cope_with_a_memory_limit",
        "guest_that_never_gives_up_is_ended",
        "memory_limit_holds_from_the_beginning",
        "refusal_of_memory_is_told",
    },
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
TIMED = ("TimeLimitIgnored",)  # the others are spared the wait


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, dict[str, str]]:
    """Of each wrong handler the tests that failed, with their messages; measured once, for all workers of pytest-xdist."""
    usable("wasmtime")
    if worker_id == "master":
        return _measured()
    shared = tmp_path_factory.getbasetemp().parent / "wrong-handlers.json"
    with shared.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.exists():
            shared.write_text(json.dumps(_measured()), encoding="utf-8")
        found = json.loads(shared.read_text(encoding="utf-8"))
    return cast("dict[str, dict[str, str]]", found)


def _measured() -> dict[str, dict[str, str]]:
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
    chosen = " and ".join(f"not {name}" for name in LEFT_OUT)
    command += ["-k", f"({chosen}) and ({' or '.join(TIMED)} or not time_limit)"]
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
