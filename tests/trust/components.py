"""A component, without a compiler: it does one thing in its first preopen, again and again, and says how that went."""

from __future__ import annotations

_ERRORS = [
    "access",
    "would-block",
    "already",
    "bad-descriptor",
    "busy",
    "deadlock",
    "quota",
    "exist",
    "file-too-large",
    "illegal-byte-sequence",
    "in-progress",
    "interrupted",
    "invalid",
    "io",
    "is-directory",
    "loop",
    "too-many-links",
    "message-size",
    "name-too-long",
    "no-device",
    "no-entry",
    "no-lock",
    "insufficient-memory",
    "insufficient-space",
    "not-directory",
    "not-empty",
    "not-recoverable",
    "unsupported",
    "no-tty",
    "no-such-device",
    "overflow",
    "not-permitted",
    "pipe",
    "read-only",
    "invalid-seek",
    "text-file-busy",
    "cross-device",
]

_TEXT = """(component
  (import "wasi:cli/exit@0.2.3" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
  (import "wasi:filesystem/types@0.2.3" (instance $types
    (export "descriptor" (type $descriptor (sub resource)))
    (export "directory-entry-stream" (type $stream (sub resource)))
    (type $error-code' (enum {errors})) (export "error-code" (type $error-code (eq $error-code')))
    (type $path-flags' (flags "symlink-follow")) (export "path-flags" (type $path-flags (eq $path-flags')))
    (type $open-flags' (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $open-flags (eq $open-flags')))
    (type $flags' (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync" "mutate-directory"))
    (export "descriptor-flags" (type $flags (eq $flags')))
    (export "[method]descriptor.open-at" (func (param "self" (borrow $descriptor)) (param "path-flags" $path-flags)
      (param "path" string) (param "open-flags" $open-flags) (param "flags" $flags)
      (result (result (own $descriptor) (error $error-code)))))
    (export "[method]descriptor.read-directory" (func (param "self" (borrow $descriptor))
      (result (result (own $stream) (error $error-code)))))))
  (alias export $types "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.3" (instance $preopens
    (alias outer 1 $descriptor (type $descriptor'))
    (export "descriptor" (type $d (eq $descriptor')))
    (export "get-directories" (func (result (list (tuple (own $d) string)))))))
  (core module $libc
    (memory (export "memory") 4)
    (global $top (mut i32) (i32.const 131072))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $libc (instantiate $libc))
  (core func $exit (canon lower (func $exit "exit-with-code")))
  (core func $open (canon lower (func $types "[method]descriptor.open-at")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $list (canon lower (func $types "[method]descriptor.read-directory")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core func $get (canon lower (func $preopens "get-directories")
    (memory (core memory $libc "memory")) (realloc (core func $libc "realloc"))))
  (core module $main
    (import "libc" "memory" (memory 1))
    (import "" "exit" (func $exit (param i32)))
    (import "" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (import "" "list" (func $list (param i32 i32)))
    (import "" "get" (func $get (param i32)))
    (data (i32.const 1024) "{path}")
    (func (export "run") (result i32) (local $root i32) (local $count i32)
      (call $get (i32.const 0))
      (local.set $root (i32.load (i32.load (i32.const 0))))
      (loop $again
        {call}
        (if (i32.load8_u (i32.const 64)) (then
          (call $exit (i32.add (i32.const 100) (i32.load8_u (i32.const 68))))))
        (local.set $count (i32.add (local.get $count) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $count) (i32.const {times}))))
      (i32.const 0)))
  (core instance $main (instantiate $main (with "libc" (instance $libc)) (with "" (instance
    (export "exit" (func $exit)) (export "open" (func $open)) (export "list" (func $list)) (export "get" (func $get))))))
  (func $run (result (result)) (canon lift (core func $main "run")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.3" (instance $cli)))"""

_OPEN = """(call $open (local.get $root) (i32.const 1) (i32.const 1024) (i32.const {length}) (i32.const 0) (i32.const 1)
          (i32.const 64))"""
_LIST = "(call $list (local.get $root) (i32.const 64))"


def _component(path: str, call: str, times: int) -> str:
    errors = " ".join(f'"{name}"' for name in _ERRORS)
    return _TEXT.format(errors=errors, path=path, call=call, times=times)


def opening(path: str, times: int = 1) -> str:
    """A component that opens a path so often, and closes nothing; it exits with 0, or as :func:`error` tells."""
    return _component(path, _OPEN.format(length=len(path)), times)


def listing(times: int) -> str:
    """A component that begins to list its root so often, and ends no listing."""
    return _component("", _LIST, times)


def error(exit_code: int) -> str | None:
    """The error-code by which a component's exit says that it met one."""
    return _ERRORS[exit_code - 100] if exit_code >= 100 else None
