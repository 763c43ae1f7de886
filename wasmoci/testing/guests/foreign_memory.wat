;; Imports a memory that nobody provides.
(module
  (import "env" "their_memory" (memory 1))
  (func (export "_start")))
