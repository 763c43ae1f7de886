"""Defines the messages between a program and its warm server (:mod:`.warm_server`)."""

from __future__ import annotations

import struct

FORKED = struct.Struct("<i")
"""What the server says once there is a worker, its process descriptor beside it: its process id."""
STATUS = struct.Struct("<i")
"""What the server says at its end: its status, as :func:`os.waitpid` has it."""
READY = b"ready"
"""What the server says first."""

FORK, REMEMBER = b"f", b"r"
"""What a request begins with; a handler's name follows."""

DESCRIPTORS = 6
"""What comes with a request to fork: lifeline, channel, working directory, and the guest's three streams."""

MAX_REQUEST = 1 << 12
"""Bytes of the name of a handler's class."""
