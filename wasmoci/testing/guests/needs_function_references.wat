;; Needs the feature function-references.
(module (type $t (func)) (func $f) (elem declare func $f) (func (export "_start") (call_ref $t (ref.func $f))))
