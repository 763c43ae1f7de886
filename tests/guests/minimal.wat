;; The least that runs: a memory, and a _start that returns.
(module
  (memory (export "memory") 1)
  (func (export "_start")))
