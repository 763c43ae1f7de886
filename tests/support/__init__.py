"""Helpers of the tests: guests compiled from source, bundles in one call, and skips that fail in CI."""
