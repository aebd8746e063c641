"""Carrying programs out on a machine: recorded vectors, client streams, concurrent programs."""
