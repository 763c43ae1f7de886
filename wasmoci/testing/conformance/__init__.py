"""The conformance kit: tests of the whole contract of an engine handler.

::

    from wasmoci.testing import HandlerConformance

    class TestMyHandler(HandlerConformance):
        handler = MyHandler

A handler has to pass the tests of the capabilities that it claims; the others are skipped, with their names. Needs
pytest.
"""

from __future__ import annotations

from wasmoci.testing.conformance.arguments import ArgumentsAndEnvironment, EntryFunction
from wasmoci.testing.conformance.caller_process import Concurrency, Leaks, TheProcess
from wasmoci.testing.conformance.descriptors import FilesAndDescriptors
from wasmoci.testing.conformance.determinism import TimeAndChance
from wasmoci.testing.conformance.exit_status import Exits, Traps
from wasmoci.testing.conformance.files import Confinement, Files, ReadOnly
from wasmoci.testing.conformance.interpreter_state import ProcessSettings
from wasmoci.testing.conformance.jail import Jail
from wasmoci.testing.conformance.limits import FuelLimits, MemoryLimits, TimeLimits
from wasmoci.testing.conformance.modules import BadModules, Components, Contract
from wasmoci.testing.conformance.mounts import SeveralMounts
from wasmoci.testing.conformance.output_functions import FunctionsOfTheCaller, SignalsOfTheCaller
from wasmoci.testing.conformance.repetition import Repetition
from wasmoci.testing.conformance.resources import HostResources
from wasmoci.testing.conformance.streams import StandardStreams
from wasmoci.testing.conformance.wasi_functions import Calls

__all__ = ["HandlerConformance"]


class HandlerConformance(
    Contract,
    ArgumentsAndEnvironment,
    EntryFunction,
    Files,
    SeveralMounts,
    ReadOnly,
    Confinement,
    HostResources,
    Calls,
    StandardStreams,
    FilesAndDescriptors,
    FunctionsOfTheCaller,
    SignalsOfTheCaller,
    Exits,
    Traps,
    TimeLimits,
    MemoryLimits,
    FuelLimits,
    TimeAndChance,
    BadModules,
    Components,
    Concurrency,
    Repetition,
    Jail,
    TheProcess,
    ProcessSettings,
    Leaks,
):
    """All tests of the contract. Subclass it and set :attr:`handler`, or override the fixture ``subject``."""
