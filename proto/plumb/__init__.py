"""The wire: generated from proto/plumb/v1 by `make proto`. Nothing here is written by hand."""
