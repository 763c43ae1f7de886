"""Tests of where a guest runs."""
