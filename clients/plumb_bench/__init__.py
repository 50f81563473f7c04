"""The fidelity benchmark: an ordinary client of the service."""
