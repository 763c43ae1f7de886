"""Engines that are separate programs: a subclass of :class:`CommandHandler` defines the command line of one.

::

    class MyProgram(CommandHandler):
        name = "my-engine"
        program = Program("my-engine", version=re.compile("my-engine ([0-9.]+)"), hint="install it with ...")
        features = frozenset(...)

        def command(self, call): ...     # the command line of a run
        def outcome(self, ending): ...   # the outcome, from the exit status and the messages
"""

from wasmoci_command.handler import Call, CommandHandler, Ending
from wasmoci_command.program import Found, Program

__all__ = ["Call", "CommandHandler", "Ending", "Found", "Program"]
