;; files HOW PATH [TEXT]: reads a file to the standard output, writes one with a text, makes a directory, unlinks a file, or makes a
;; symlink that leads to TEXT (HOW's first letter). Exits with the errno, or with 100 where no preopened directory has the path.
;; A path is looked up as the C library of WASI does: beneath the preopened directory with the longest name that fits.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $fd_prestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_dir_name" (func $fd_prestat_dir_name (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $path_create_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 2)
  (data (i32.const 24) ".")
  (global $fd (mut i32) (i32.const 0))
  (global $path (mut i32) (i32.const 0))
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
  (func $check (param $errno i32)
    (if (local.get $errno) (then (call $proc_exit (local.get $errno)))))
  ;; Whether a path begins with the name of so many bytes at 16384, and goes on with a slash or not at all.
  (func $fits (param $path i32) (param $size i32) (result i32)
    (local $i i32)
    (block $same (loop $next
      (br_if $same (i32.ge_u (local.get $i) (local.get $size)))
      (if (i32.ne
          (i32.load8_u (i32.add (local.get $path) (local.get $i)))
          (i32.load8_u (i32.add (i32.const 16384) (local.get $i))))
        (then (return (i32.const 0))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
    (local.set $i (i32.load8_u (i32.add (local.get $path) (local.get $size))))
    (i32.or (i32.eqz (local.get $i)) (i32.eq (local.get $i) (i32.const 47))))
  ;; Sets $fd and $path for a path: an absolute one, or one that is relative to the working directory.
  (func $resolve (param $given i32)
    (local $fd i32) (local $size i32) (local $longest i32) (local $absolute i32)
    (local.set $absolute (i32.eq (i32.load8_u (local.get $given)) (i32.const 47)))
    (local.set $longest (i32.const -1))
    (local.set $fd (i32.const 3))
    (block $done (loop $next
      (br_if $done (call $fd_prestat_get (local.get $fd) (i32.const 56)))
      (local.set $size (i32.load (i32.const 60)))
      (call $check (call $fd_prestat_dir_name (local.get $fd) (i32.const 16384) (local.get $size)))
      ;; A slash or a NUL at the end of the name says nothing.
      (block $cut (loop $last
        (br_if $cut (i32.eqz (local.get $size)))
        (br_if $cut (i32.and
          (i32.ne (i32.load8_u (i32.add (i32.const 16383) (local.get $size))) (i32.const 47))
          (i32.ne (i32.load8_u (i32.add (i32.const 16383) (local.get $size))) (i32.const 0))))
        (local.set $size (i32.sub (local.get $size) (i32.const 1)))
        (br $last)))
      (if (i32.and (i32.eq (local.get $size) (i32.const 1)) (i32.eq (i32.load8_u (i32.const 16384)) (i32.const 46)))
        (then
          (if (i32.eqz (local.get $absolute)) (then
            (global.set $fd (local.get $fd))
            (local.set $longest (i32.const 1))
            (global.set $path (local.get $given)))))
        (else
          (if (i32.and (local.get $absolute) (call $fits (local.get $given) (local.get $size))) (then
            (if (i32.gt_s (local.get $size) (local.get $longest)) (then
              (local.set $longest (local.get $size))
              (global.set $fd (local.get $fd))
              (global.set $path (i32.add (local.get $given) (local.get $size)))))))
          ;; Without a directory of its own, the working directory is the root.
          (if (i32.and (i32.eqz (local.get $absolute)) (i32.and (i32.eqz (local.get $size)) (i32.lt_s (local.get $longest) (i32.const 0))))
            (then
              (local.set $longest (i32.const 0))
              (global.set $fd (local.get $fd))
              (global.set $path (local.get $given))))))
      (local.set $fd (i32.add (local.get $fd) (i32.const 1)))
      (br $next)))
    (if (i32.lt_s (local.get $longest) (i32.const 0)) (then (call $proc_exit (i32.const 100))))
    (block $stripped (loop $slash
      (br_if $stripped (i32.ne (i32.load8_u (global.get $path)) (i32.const 47)))
      (global.set $path (i32.add (global.get $path) (i32.const 1)))
      (br $slash)))
    (if (i32.eqz (i32.load8_u (global.get $path))) (then (global.set $path (i32.const 24)))))
  (func $open (param $flags i32) (param $rights i64) (result i32)
    (call $check (call $path_open (global.get $fd) (i32.const 1) (global.get $path) (call $length (global.get $path))
      (local.get $flags) (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 48)))
    (i32.load (i32.const 48)))
  (func (export "_start")
    (local $how i32) (local $text i32) (local $fd i32)
    (call $check (call $args_get (i32.const 64) (i32.const 1024)))
    (local.set $how (i32.load8_u (i32.load (i32.const 68))))
    (local.set $text (i32.load (i32.const 76)))
    (call $resolve (i32.load (i32.const 72)))
    (if (i32.eq (local.get $how) (i32.const 114)) (then (call $copy (call $open (i32.const 0) (i64.const 2)))))
    (if (i32.eq (local.get $how) (i32.const 119)) (then
      (local.set $fd (call $open (i32.const 9) (i64.const 64)))
      (i32.store (i32.const 0) (local.get $text))
      (i32.store (i32.const 4) (call $length (local.get $text)))
      (call $check (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))))
    (if (i32.eq (local.get $how) (i32.const 109)) (then
      (call $check (call $path_create_directory (global.get $fd) (global.get $path) (call $length (global.get $path))))))
    (if (i32.eq (local.get $how) (i32.const 117)) (then
      (call $check (call $path_unlink_file (global.get $fd) (global.get $path) (call $length (global.get $path))))))
    (if (i32.eq (local.get $how) (i32.const 115)) (then
      (call $check (call $path_symlink (local.get $text) (call $length (local.get $text))
        (global.get $fd) (global.get $path) (call $length (global.get $path))))))))
