;; Imports a function that WASI preview 1 doesn't have.
(module
  (import "wasi_snapshot_preview1" "fd_levitate" (func (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")))
