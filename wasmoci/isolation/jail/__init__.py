"""The jail: confines a worker process before an engine without a sandbox reads a guest's module.

An attacker who takes over the engine then has only the guest's files and streams. :mod:`.root` hides all other files,
:mod:`.landlock` denies access to them, :mod:`.seccomp` allows only a list of system calls, and :mod:`.process` limits everything else.
"""

WAY_OUT = "choose another engine, or the isolation 'process' or 'inline' where the engine is to be trusted"
"""The hint for an engine that can't run in the jail."""
