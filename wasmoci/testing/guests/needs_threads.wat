;; Needs the feature threads.
(module (memory 1) (func (export "_start") (drop (i32.atomic.load (i32.const 0)))))
