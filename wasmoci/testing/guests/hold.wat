;; hold: opens its own program again and again, and closes nothing. Writes how often it could, as four bytes, and exits with the
;; errno that it then got; with 0 when it could ten thousand times.
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\10\00\00\00\04\00\00\00") ;; a buffer: the count
  (data (i32.const 32) "app.wasm")
  (func (export "_start") (local $errno i32)
    (block $done (loop $next
      (br_if $done (local.tee $errno (call $path_open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 8)
        (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 24))))
      (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
      (br_if $next (i32.lt_u (i32.load (i32.const 16)) (i32.const 10000)))))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 24)) (then unreachable))
    (call $proc_exit (local.get $errno))))
