;; Writes "out 1" to its standard output, "err 1" to its standard error, and "out 2" and "err 2" likewise, a line each.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "out 1\nerr 1\nout 2\nerr 2\n")
  (func $line (param $fd i32) (param $at i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (i32.const 6))
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func (export "_start")
    (call $line (i32.const 1) (i32.const 64))
    (call $line (i32.const 2) (i32.const 70))
    (call $line (i32.const 1) (i32.const 76))
    (call $line (i32.const 2) (i32.const 82))))
