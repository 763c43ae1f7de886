"""Engines that are programs: :class:`CommandHandler` runs one with a command line, a subclass says which.

::

    class MyProgram(CommandHandler):
        name = "my-engine"
        program = Program("my-engine", version=re.compile("my-engine ([0-9.]+)"), hint="install it with ...")
        features = frozenset(...)

        def command(self, call): ...     # the arguments for one run
        def outcome(self, ending): ...   # what its exit status and its words mean
"""

from wasmoci_command.handler import Call, CommandHandler, Ending
from wasmoci_command.program import Found, Program

__all__ = ["Call", "CommandHandler", "Ending", "Found", "Program"]
