;; Needs the feature gc.
(module (type $s (struct (field i32))) (func (export "_start") (drop (struct.get $s 0 (struct.new $s (i32.const 1))))))
