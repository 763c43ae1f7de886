;; Needs the feature relaxed-simd.
(module  (func (export "_start") (drop (i32x4.extract_lane 0 (i32x4.relaxed_trunc_f32x4_s (f32x4.splat (f32.const 1)))))))
