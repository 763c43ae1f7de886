;; Needs SIMD; exits with the lane's 42.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $proc_exit (i32x4.extract_lane 0 (i32x4.splat (i32.const 42))))))
