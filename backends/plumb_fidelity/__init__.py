"""Pure functions about observations, without I/O. Imports nothing else of plumb."""
