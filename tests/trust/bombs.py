"""Small modules that keep a compiler busy for minutes."""

from __future__ import annotations


def nested_loops(count: int) -> bytes:
    """A valid module with loops in loops, as many locals, and a use of each: the time grows with more than the cube.

    Args:
        count: How many; 600 take 8 KB, and wasmtime a minute.
    """
    body = _unsigned(1) + _unsigned(count) + b"\x7f" + b"\x03\x40" * count
    for number in range(count):
        local = _unsigned(number)
        body += b"\x20" + local + b"\x41\x01\x6a\x21" + local + b"\x20" + local + b"\x0d\x00\x0b"
    for number in range(min(count, 300)):
        body += b"\x20" + _unsigned(number) + b"\x1a"
    return _module(body + b"\x0b")


def nested_tables(count: int, local_count: int) -> bytes:
    """A valid module with blocks in blocks, each left by a table of branches to all around it.

    Args:
        count: How many blocks.
        local_count: How many locals.
    """
    body = _unsigned(1) + _unsigned(local_count) + b"\x7f" + b"\x02\x40" * count
    for number in range(count):
        for step in range(20):
            source, target = _unsigned(step % local_count), _unsigned((step * 7 + number) % local_count)
            body += b"\x20" + source + b"\x41\x01\x6a\x21" + target
        around = count - number - 1
        targets = b"".join(_unsigned(depth) for depth in range(around))
        body += b"\x20" + _unsigned(number % local_count) + b"\x0e" + _unsigned(around) + targets + _unsigned(around)
        body += b"\x0b"
    return _module(body + b"\x0b")


def deep_text(count: int) -> bytes:
    """A text with blocks in blocks, and branches to the outermost by name: the time to assemble it grows with the square.

    Args:
        count: How many of each; 80,000 take two megabytes, and wasmtime some seconds.
    """
    blocks = "".join(f"block $l{number} " for number in range(count))
    return f'(module (memory (export "memory") 1) (func (export "_start") {blocks}{"br $l0 " * count}{"end " * count}))'.encode()


def crashes_wasm3() -> bytes:
    """A valid module over which wasm3 0.5.0 dies while it compiles it."""
    many, some = 1000, 20
    types = b"".join(b"\x60\x00" + _unsigned(count) + b"\x7e" * count for count in (many, some, 0))
    bodies = (b"\x00\x00\x0b", b"\x00\x00\x0b", b"\x00\x10\x00\x10\x01\x00\x0b", b"\x00\x0b")
    code = b"".join(_unsigned(len(body)) + body for body in bodies)
    return (
        b"\0asm\1\0\0\0"
        + _section(1, _unsigned(3) + types)
        + _section(3, b"\x04\x00\x01\x00\x02")
        + _section(5, b"\x01\x00\x01")
        + _section(7, b"\x02\x06memory\x02\x00\x06_start\x00\x03")
        + _section(10, _unsigned(len(bodies)) + code)
    )


def _module(body: bytes) -> bytes:
    return (
        b"\0asm\1\0\0\0"
        + _section(1, b"\x01\x60\x00\x00")
        + _section(3, b"\x01\x00")
        + _section(5, b"\x01\x00\x01")
        + _section(7, b"\x02\x06memory\x02\x00\x06_start\x00\x00")
        + _section(10, _unsigned(1) + _unsigned(len(body)) + body)
    )


def _section(number: int, content: bytes) -> bytes:
    return bytes([number]) + _unsigned(len(content)) + content


def _unsigned(number: int) -> bytes:
    encoded = b""
    while True:
        byte, number = number & 127, number >> 7
        if not number:
            return encoded + bytes([byte])
        encoded += bytes([byte | 128])


def overlays_wasm3() -> str:
    """A valid module, as text, whose stack check is 0 on wasm3 0.5.0, so that a function's locals lie on the header of its memory."""
    many = " ".join(["i64"] * 512)
    beyond = "unreachable (loop (param i64) drop) unreachable"
    return f"""(module
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func $h (result {many}) (local $stack i64) (local $length i64)
        (local.set $length (i64.const 0x100000000000)) (local.set $stack (i64.const 0x7fffffffffff))
        (drop (i64.load (i32.const 0x10010))) (call $exit (i32.const 42)) {beyond})
      (func $r (param $n i32) (local {many})
        (if (local.get $n) (then (call $r (i32.sub (local.get $n) (i32.const 1)))) (else (call $h) unreachable))
        {beyond})
      (func (export "_start") (call $r (i32.const 580))))"""
