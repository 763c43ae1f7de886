;; elements_outside: its table has no room for its elements, so it traps when it is instantiated.
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 1) $function)
  (func $function)
  (func (export "_start")))
