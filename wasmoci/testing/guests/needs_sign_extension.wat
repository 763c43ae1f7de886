;; Needs the feature sign-extension.
(module  (func (export "_start") (drop (i32.extend8_s (i32.const 128)))))
