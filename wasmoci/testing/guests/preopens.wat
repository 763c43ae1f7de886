;; Writes the names of its preopened directories, a line each, in the order of their descriptors.
(module
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func $line (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func (export "_start")
    (local $fd i32) (local $size i32)
    (local.set $fd (i32.const 3))
    (block $done (loop $next
      (br_if $done (call $fd_prestat_get (local.get $fd) (i32.const 16)))
      (local.set $size (i32.load (i32.const 20)))
      (if (call $fd_prestat_dir_name (local.get $fd) (i32.const 65536) (local.get $size)) (then unreachable))
      ;; An engine may count a NUL at the end.
      (if (local.get $size) (then
        (if (i32.eqz (i32.load8_u (i32.add (i32.const 65535) (local.get $size)))) (then
          (local.set $size (i32.sub (local.get $size) (i32.const 1)))))))
      (i32.store8 (i32.add (i32.const 65536) (local.get $size)) (i32.const 10))
      (call $line (i32.const 65536) (i32.add (local.get $size) (i32.const 1)))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next)))))
