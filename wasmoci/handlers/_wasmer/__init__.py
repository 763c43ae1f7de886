"""Contains the two back ends of the handler for wasmer."""
