;; Writes 256 KiB to its standard error, 4 KiB of "!" at a time.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $at i32) (local $count i32)
    (local.set $at (i32.const 4096))
    (loop $fill
      (i32.store8 (local.get $at) (i32.const 33))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 8192))))
    (loop $chunk
      (local.set $at (i32.const 0))
      (loop $rest
        (i32.store (i32.const 0) (i32.const 4096))
        (i32.store (i32.const 4) (i32.sub (i32.const 4096) (local.get $at)))
        (if (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
        (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
        (br_if $rest (i32.lt_u (local.get $at) (i32.const 4096))))
      (local.set $count (i32.add (local.get $count) (i32.const 1)))
      (br_if $chunk (i32.lt_u (local.get $count) (i32.const 64))))))
