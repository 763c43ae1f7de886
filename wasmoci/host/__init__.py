"""Files, processes and users of this machine, as whoever mistrusts the other users of it needs them."""
