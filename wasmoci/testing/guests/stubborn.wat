;; stubborn DIGIT: writes a byte to that descriptor a hundred times, whatever comes of it.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\20\00\00\00\01\00\00\00")
  (func (export "_start")
    (local $fd i32) (local $count i32)
    (if (call $args_get (i32.const 64) (i32.const 1024)) (then unreachable))
    (local.set $fd (i32.sub (i32.load8_u (i32.load (i32.const 68))) (i32.const 48)))
    (loop $next
      (drop (call $fd_write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 8)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $count) (i32.const 100))))))
