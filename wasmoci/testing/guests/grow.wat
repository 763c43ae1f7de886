;; grow HOW PAGES: takes memory, 16 pages of 64 KiB at a time. When that is refused it exits with 7 (HOW is "cope"), tries again up to a
;; million times and then exits with 5 ("retry"), or traps; when it has PAGES it exits with 3. With "once" it takes all at a time, so that
;; it has PAGES and no more, and exits with 7 when they are refused.
(module
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  ;; The decimal number at an address.
  (func $number (param $at i32) (result i32)
    (local $value i32)
    (block $done (loop $digit
      (br_if $done (i32.eqz (i32.load8_u (local.get $at))))
      (local.set $value (i32.add (i32.mul (local.get $value) (i32.const 10))
        (i32.sub (i32.load8_u (local.get $at)) (i32.const 48))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $digit)))
    (local.get $value))
  (func (export "_start")
    (local $most i32) (local $how i32) (local $step i32) (local $refused i32)
    (if (call $args_get (i32.const 64) (i32.const 1024)) (then unreachable))
    (local.set $most (call $number (i32.load (i32.const 72))))
    (local.set $how (i32.load8_u (i32.load (i32.const 68))))
    (local.set $step (i32.const 16))
    (if (i32.eq (local.get $how) (i32.const 111)) (then
      (local.set $step (i32.sub (local.get $most) (memory.size)))
      (local.set $how (i32.const 99))))
    (loop $more
      (if (i32.eq (memory.grow (local.get $step)) (i32.const -1)) (then
        (if (i32.eq (local.get $how) (i32.const 99)) (then (call $proc_exit (i32.const 7))))
        (if (i32.ne (local.get $how) (i32.const 114)) (then unreachable))
        (local.set $refused (i32.add (local.get $refused) (i32.const 1)))
        (if (i32.eq (local.get $refused) (i32.const 1000000)) (then (call $proc_exit (i32.const 5))))
        (br $more)))
      (br_if $more (i32.lt_u (memory.size) (local.get $most))))
    (call $proc_exit (i32.const 3))))
