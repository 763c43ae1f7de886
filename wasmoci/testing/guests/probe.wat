;; probe PATH...: opens each path beneath each preopened directory, by the path as it is: for reading, and writes what it finds; and
;; to create it. Writes "created" when that succeeds.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "created\n")
  (func $line (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
  (func $length (param $at i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $at))
    (block $done (loop $next
      (br_if $done (i32.eqz (i32.load8_u (local.get $end))))
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br $next)))
    (i32.sub (local.get $end) (local.get $at)))
  ;; Writes what is in a file to the standard output.
  (func $copy (param $fd i32)
    (local $size i32)
    (block $done (loop $chunk
      (i32.store (i32.const 0) (i32.const 65536))
      (i32.store (i32.const 4) (i32.const 4096))
      (br_if $done (call $fd_read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $size (i32.load (i32.const 8)))
      (br_if $done (i32.eqz (local.get $size)))
      (call $line (i32.const 65536) (local.get $size))
      (br $chunk))))
  (func $try (param $at i32) (param $path i32)
    ;; Following symlinks, with the right to read.
    (if (i32.eqz (call $path_open (local.get $at) (i32.const 1) (local.get $path) (call $length (local.get $path))
        (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 48)))
      (then
        (call $copy (i32.load (i32.const 48)))
        (drop (call $fd_close (i32.load (i32.const 48))))))
    ;; O_CREAT, with the right to write.
    (if (i32.eqz (call $path_open (local.get $at) (i32.const 1) (local.get $path) (call $length (local.get $path))
        (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 48)))
      (then
        (call $line (i32.const 16) (i32.const 8))
        (i32.store (i32.const 0) (i32.const 16))
        (i32.store (i32.const 4) (i32.const 8))
        (drop (call $fd_write (i32.load (i32.const 48)) (i32.const 0) (i32.const 1) (i32.const 8)))
        (drop (call $fd_close (i32.load (i32.const 48)))))))
  (func (export "_start")
    (local $fd i32) (local $i i32)
    (if (call $args_sizes_get (i32.const 40) (i32.const 44)) (then unreachable))
    (if (call $args_get (i32.const 1024) (i32.const 8192)) (then unreachable))
    (local.set $fd (i32.const 3))
    (block $done (loop $directory
      (br_if $done (call $fd_prestat_get (local.get $fd) (i32.const 56)))
      (local.set $i (i32.const 1))
      (block $tried (loop $path
        (br_if $tried (i32.ge_u (local.get $i) (i32.load (i32.const 40))))
        (call $try (local.get $fd) (i32.load (i32.add (i32.const 1024) (i32.shl (local.get $i) (i32.const 2)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $path)))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $directory)))))
