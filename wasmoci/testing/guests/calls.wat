;; Calls the functions of WASI for files and clocks, beneath the first preopened directory, and writes a byte for each in this order:
;; its errno, or 255 where it did something else than it was asked to.
(module
  (import "wasi_snapshot_preview1" "clock_res_get" (func $clock_res_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_datasync" (func $fd_datasync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $fd_fdstat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_get" (func $fd_filestat_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size" (func $fd_filestat_set_size (param i32 i64) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_times"
    (func $fd_filestat_set_times (param i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $fd_pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $fd_pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $fd_readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $fd_renumber (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $fd_seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_sync" (func $fd_sync (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_tell" (func $fd_tell (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_create_directory" (func $path_create_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $path_filestat_get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_set_times"
    (func $path_filestat_set_times (param i32 i32 i32 i32 i64 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_link" (func $path_link (param i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_readlink" (func $path_readlink (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_remove_directory" (func $path_remove_directory (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_rename" (func $path_rename (param i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_symlink" (func $path_symlink (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_unlink_file" (func $path_unlink_file (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "dir")      ;; 3 bytes
  (data (i32.const 80) "dir/a")    ;; 5 bytes
  (data (i32.const 96) "dir/b")
  (data (i32.const 112) "dir/c")
  (data (i32.const 128) "abcdef")
  (global $notes (mut i32) (i32.const 1024))
  (global $file (mut i32) (i32.const 0))
  (func $note (param $errno i32)
    (i32.store8 (global.get $notes) (local.get $errno))
    (global.set $notes (i32.add (global.get $notes) (i32.const 1))))
  ;; The errno, or where there is none whether it did what it was asked to.
  (func $and (param $errno i32) (param $right i32) (result i32)
    (select (local.get $errno) (select (i32.const 0) (i32.const 255) (local.get $right)) (local.get $errno)))
  (func $buffer (param $at i32) (param $size i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size)))
  ;; Opens a path of so many bytes, with flags for the directory or file and with rights; the descriptor is at 16.
  (func $open (param $at i32) (param $size i32) (param $flags i32) (param $rights i64) (result i32)
    (call $path_open (i32.const 3) (i32.const 0) (local.get $at) (local.get $size) (local.get $flags)
      (local.get $rights) (i64.const 0) (i32.const 0) (i32.const 16)))
  (func (export "_start")
    (local $errno i32) (local $listed i32)
    (call $note (call $clock_res_get (i32.const 1) (i32.const 32)))
    (call $note (call $sched_yield))
    (call $note (call $path_create_directory (i32.const 3) (i32.const 64) (i32.const 3)))
    ;; All rights of a file: to read, write, seek, tell, sync, and to ask for and set its attributes.
    (call $note (call $open (i32.const 80) (i32.const 5) (i32.const 1) (i64.const 0xe001ff)))
    (global.set $file (i32.load (i32.const 16)))
    (call $note (call $fd_fdstat_get (global.get $file) (i32.const 32)))
    (call $buffer (i32.const 128) (i32.const 6))
    (call $note (call $fd_write (global.get $file) (i32.const 0) (i32.const 1) (i32.const 8)))
    (local.set $errno (call $fd_seek (global.get $file) (i64.const -2) (i32.const 1) (i32.const 32)))
    (call $note (call $and (local.get $errno) (i64.eq (i64.load (i32.const 32)) (i64.const 4))))
    (i64.store (i32.const 32) (i64.const 0))
    (local.set $errno (call $fd_tell (global.get $file) (i32.const 32)))
    (call $note (call $and (local.get $errno) (i64.eq (i64.load (i32.const 32)) (i64.const 4))))
    (call $buffer (i32.const 130) (i32.const 1))
    (call $note (call $fd_pwrite (global.get $file) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 8)))
    (call $buffer (i32.const 160) (i32.const 4))
    (local.set $errno (call $fd_pread (global.get $file) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 8)))
    (call $note (call $and (local.get $errno) (i32.eq (i32.load (i32.const 160)) (i32.const 0x64636263)))) ;; "cbcd"
    (call $note (call $fd_sync (global.get $file)))
    (call $note (call $fd_datasync (global.get $file)))
    (call $note (call $fd_filestat_set_size (global.get $file) (i64.const 3)))
    (local.set $errno (call $fd_filestat_get (global.get $file) (i32.const 192)))
    (call $note (call $and (local.get $errno) (i64.eq (i64.load (i32.const 224)) (i64.const 3))))
    (call $note (call $fd_filestat_set_times
      (global.get $file) (i64.const 1000000000) (i64.const 2000000000) (i32.const 5)))
    (local.set $errno (call $path_filestat_get
      (i32.const 3) (i32.const 1) (i32.const 80) (i32.const 5) (i32.const 192)))
    (call $note (call $and (local.get $errno) (i64.eq (i64.load (i32.const 240)) (i64.const 2000000000))))
    (call $note (call $path_filestat_set_times (i32.const 3) (i32.const 1) (i32.const 80) (i32.const 5)
      (i64.const 3000000000) (i64.const 4000000000) (i32.const 5)))
    (call $note (call $path_link
      (i32.const 3) (i32.const 0) (i32.const 80) (i32.const 5) (i32.const 3) (i32.const 96) (i32.const 5)))
    (call $note (call $path_rename
      (i32.const 3) (i32.const 96) (i32.const 5) (i32.const 3) (i32.const 112) (i32.const 5)))
    (call $note (call $path_symlink (i32.const 84) (i32.const 1) (i32.const 3) (i32.const 96) (i32.const 5)))
    (local.set $errno (call $path_readlink
      (i32.const 3) (i32.const 96) (i32.const 5) (i32.const 256) (i32.const 64) (i32.const 8)))
    (call $note (call $and (local.get $errno) (i32.and
      (i32.eq (i32.load (i32.const 8)) (i32.const 1))
      (i32.eq (i32.load8_u (i32.const 256)) (i32.const 97)))))
    ;; Another descriptor takes the file's place: from there on the file is the directory.
    (call $note (call $open (i32.const 64) (i32.const 3) (i32.const 2) (i64.const 0x4000)))
    (local.set $listed (i32.load (i32.const 16)))
    (call $note (call $fd_renumber (local.get $listed) (global.get $file)))
    ;; An entry is 24 bytes and its name: "a", "b" and "c", and perhaps "." and "..".
    (local.set $errno (call $fd_readdir
      (global.get $file) (i32.const 2048) (i32.const 4096) (i64.const 0) (i32.const 8)))
    (call $note (call $and (local.get $errno) (i32.or
      (i32.eq (i32.load (i32.const 8)) (i32.const 75))
      (i32.eq (i32.load (i32.const 8)) (i32.const 126)))))
    (call $note (call $fd_close (global.get $file)))
    (call $note (call $path_unlink_file (i32.const 3) (i32.const 80) (i32.const 5)))
    (drop (call $path_unlink_file (i32.const 3) (i32.const 96) (i32.const 5)))
    (drop (call $path_unlink_file (i32.const 3) (i32.const 112) (i32.const 5)))
    (call $note (call $path_remove_directory (i32.const 3) (i32.const 64) (i32.const 3)))
    (call $buffer (i32.const 1024) (i32.sub (global.get $notes) (i32.const 1024)))
    (if (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))))
