;; Needs the feature stack-switching.
(module (type $f (func)) (type $c (cont $f)) (func (export "_start") (drop (ref.null $c))))
