;; Needs the feature legacy-exceptions.
(module (func (export "_start") try catch_all end))
