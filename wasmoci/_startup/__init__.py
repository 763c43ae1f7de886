"""What makes a start fast, and nothing else: see "Start-up" in docs/rationale.md, with what each part saves."""
