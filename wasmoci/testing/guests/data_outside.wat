;; data_outside: its memory has no room for its data, so it traps when it is instantiated.
(module
  (memory (export "memory") 1)
  (data (i32.const 65536) "x")
  (func (export "_start")))
