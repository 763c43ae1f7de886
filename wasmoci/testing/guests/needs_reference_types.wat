;; Needs the feature reference-types.
(module (table 1 externref) (func (export "_start") (table.set 0 (i32.const 0) (ref.null extern))))
