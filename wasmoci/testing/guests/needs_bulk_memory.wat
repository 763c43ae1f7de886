;; Needs the feature bulk-memory.
(module (memory 1) (data $d "x") (func (export "_start") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 1)) (data.drop $d)))
