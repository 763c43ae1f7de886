"""Makes processes start faster; "Start-up" in docs/rationale.md says what each part saves."""
