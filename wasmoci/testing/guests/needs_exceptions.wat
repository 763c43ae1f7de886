;; Needs the feature exceptions.
(module (tag $t) (func (export "_start") (block $caught (try_table (catch $t $caught) (throw $t)))))
