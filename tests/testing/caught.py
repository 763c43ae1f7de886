"""Of each wrong handler the tests of the kit that catch it."""

from __future__ import annotations

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
    "TrapReportedAsExit": (
        {"trap_is_reported_as_a_trap", "segment_out_of_bounds_is_a_trap"},
        "expected TRAPPED with 134",
    ),
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
    "TimeLimitIgnored": ({"time_limit_holds", "time_limit_may_be_less_than_a_second"}, r"a limit of 1 s didn't hold"),
    "MemoryLimitIgnored": (
        {"memory_limit_holds", "memory_limit_of_the_spec_holds", "memory_limit_is_the_last_page_that_fits"},
        "a limit of 8 MiB didn't hold",
    ),
    "FuelIgnored": ({"fuel_limit_holds"}, "a limit of a million instructions didn't hold"),
    "ValidateRunsTheGuest": ({"validate_runs_nothing"}, "validate ran the guest"),
    "DescriptorsUnbounded": ({"account_of_descriptors_is_bounded"}, "opened 10000 files and closed none"),
    "KernelFilesGiven": ({"kernel_files_are_out_of_reach"}, "a guest read /p/self/environ"),
    "ProcessExited": ({"named_function_is_called"}, r"execute called sys\.exit\(9\)"),
}
# What breaks with it, because there is no other way for it to be seen.
ALSO = {
    "ExitCodeLost": {"start_function_may_exit"},
    "OwnEventLoop": {"run_within_a_run"},
    "StdinIgnored": {
        "captures_are_bounded",
        "inherited_streams_are_those_of_the_process",
        "large_streams_are_whole",
        "output_arrives_while_the_guest_runs",
    },
    "StderrMerged": {"large_stderr_is_whole"},
    "MemoryLimitIgnored": {
        "guest_may_cope_with_a_memory_limit",
        "guest_that_never_gives_up_is_ended",
        "memory_limit_holds_from_the_beginning",
        "refusal_of_memory_is_told",
    },
}
