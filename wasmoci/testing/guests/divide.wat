;; divide: asks for more memory than any limit allows, copes with the refusal, and divides by zero.
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (drop (memory.grow (i32.const 40000)))
    (drop (i32.div_u (i32.const 1) (i32.const 0)))))
