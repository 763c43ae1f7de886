;; Needs the feature multi-memory.
(module (memory 1) (memory 1) (func (export "_start") (drop (i32.load 1 (i32.const 0)))))
