"""The jail: what a worker process gives up before an engine that isn't a sandbox by itself touches a guest's module.

Whoever takes over the engine has the guest's files and streams then, and nothing else: :mod:`.root` takes all other files out of
sight, :mod:`.landlock` closes them, :mod:`.seccomp` leaves a list of system calls, :mod:`.process` the rest of the process.
"""

WAY_OUT = "choose another engine, or the isolation 'process' or 'inline' where the engine is to be trusted"
"""What somebody can do whose engine can't run in the jail."""
