"""A small real-time world on loopback, so that `wsinspect demo` needs nothing else."""
