;; Needs the feature multi-value.
(module (func $two (result i32 i32) (i32.const 1) (i32.const 2)) (func (export "_start") (call $two) (drop) (drop)))
