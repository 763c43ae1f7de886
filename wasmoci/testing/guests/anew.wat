;; Adds 1 to a global and to a byte of its memory, and writes both as digits: "11" in an instance of its own. Has 8 MiB of memory, and
;; writes to each page of the processor's.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 128)
  (data (i32.const 0) "\10\00\00\00\02\00\00\00")
  (data (i32.const 16) "00")
  (global $count (mut i32) (i32.const 48))
  (func (export "_start")
    (local $at i32)
    (loop $touch
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (i32.store8 (local.get $at) (i32.const 1))
      (br_if $touch (i32.lt_u (local.get $at) (i32.const 8384512))))
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store8 (i32.const 16) (global.get $count))
    (i32.store8 (i32.const 17) (i32.add (i32.load8_u (i32.const 17)) (i32.const 1)))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))))
