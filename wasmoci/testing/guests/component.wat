;; A component that succeeds. "exit" exits with 7 (by an import of WASI 0.2), "fail" fails, "trap" traps.
(component
  (import "wasi:cli/exit@0.2.3" (instance $exit
    (export "exit-with-code" (func (param "status-code" u8)))))
  (core func $exit-with-code (canon lower (func $exit "exit-with-code")))
  (core module $m
    (import "" "exit-with-code" (func $exit-with-code (param i32)))
    (func (export "run") (result i32) (i32.const 0))
    (func (export "fail") (result i32) (i32.const 1))
    (func (export "exit") (result i32) (call $exit-with-code (i32.const 7)) unreachable)
    (func $fault (export "trap") (result i32) unreachable))
  (core instance $i (instantiate $m (with "" (instance (export "exit-with-code" (func $exit-with-code))))))
  (func $run (result (result)) (canon lift (core func $i "run")))
  (func (export "fail") (result (result)) (canon lift (core func $i "fail")))
  (func (export "exit") (result (result)) (canon lift (core func $i "exit")))
  (func (export "trap") (result (result)) (canon lift (core func $i "trap")))
  (instance $cli (export "run" (func $run)))
  (export "wasi:cli/run@0.2.3" (instance $cli)))
