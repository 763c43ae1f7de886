"""Finds and calls the native OCI runtimes crun, runc and youki."""
