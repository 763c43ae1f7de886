;; Returns from its entry function, as a program does whose main function returns 0.
(module
  (memory (export "memory") 1)
  (func (export "_start")))
