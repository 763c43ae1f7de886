;; Writes 16 MiB to its standard output, 4 KiB at a time, and exits with the errno of the first write that fails.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "\00\00\01\00\00\10\00\00")
  (func (export "_start")
    (local $errno i32) (local $count i32)
    (loop $next
      (local.set $errno (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $next (i32.and (i32.eqz (local.get $errno)) (i32.lt_u (local.get $count) (i32.const 4096)))))
    (call $proc_exit (local.get $errno))))
