;; Its start function writes "start", its entry function "entry", and its function "other" "other".
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "start\nentry\nother\n")
  (func $line (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func $begin (call $line (i32.const 16) (i32.const 6)))
  (start $begin)
  (func (export "_start") (call $line (i32.const 22) (i32.const 6)))
  (func (export "other") (call $line (i32.const 28) (i32.const 6))))
