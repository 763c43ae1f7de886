"""Defines the messages between a module of :mod:`.tunnel` and the host.

The guest sends the number of a function and its arguments, then serves what the host asks for until it is told what to return. The
first :data:`SCRATCH` bytes of its memory carry the messages meanwhile; what was there is sent along, belongs to the host until the
call returns, and comes back with the result.

A call, from the guest: the bytes 16 to 112 of its memory as they were; then :data:`HEADER`, in which ``first`` are the bytes
0 to 16. With :data:`GATHERED` all that the function reads follows at once. With :data:`POSTED`, a write to descriptor 1 or 2,
the guest waits for nothing: a failure is returned by the next write that isn't posted. Else, from the host, as often as it
needs: :data:`COMMAND` with :data:`READ` (the guest sends ``size`` bytes from ``address``) or :data:`WRITE` (that many follow).
At last :data:`RETURN`, with the result and the bytes 0 to 16, followed by the bytes 16 to 112.
"""

from __future__ import annotations

import struct

from wasmoci.wasi import FUNCTIONS

SCRATCH = 112
NUMBERS = {name: number for number, name in enumerate(FUNCTIONS)}
GATHERED_BIT, POSTED_BIT = 30, 29
GATHERED, POSTED = 1 << GATHERED_BIT, 1 << POSTED_BIT
REFUSED = 255
"""The number of a message that memory was refused; nothing is returned for it."""

HEADER = struct.Struct("<16sII72s")
"""first, number of the function | pages of memory << 8 | flags, refusals so far, arguments (8 bytes each)"""
COMMAND = struct.Struct("<IIII16s")
"""command, address, size, result, first"""
READ, WRITE, RETURN = range(3)
CALL_SIZE = SCRATCH - 16 + HEADER.size
