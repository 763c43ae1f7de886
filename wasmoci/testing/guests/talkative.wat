;; talkative: writes a byte to descriptor 1 a million times, and exits with 9 as soon as that fails.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\20\00\00\00\01\00\00\00")
  (func (export "_start")
    (local $count i32)
    (loop $next
      (if (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8))
        (then (call $proc_exit (i32.const 9))))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $count) (i32.const 1000000))))))
