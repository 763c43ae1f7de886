;; Exits with 8 in its start function. Its entry function would trap.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func $begin (call $proc_exit (i32.const 8)))
  (start $begin)
  (func (export "_start") unreachable))
