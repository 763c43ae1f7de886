;; Needs the feature simd.
(module  (func (export "_start") (drop (i32x4.extract_lane 0 (i32x4.splat (i32.const 1))))))
