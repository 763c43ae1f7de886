"""Native containers: the OCI runtimes crun, runc and youki, found and called."""
