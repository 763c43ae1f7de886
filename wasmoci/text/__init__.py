"""Parses and displays text from untrusted sources."""
