"""The wire as JSON over HTTP: derived from the proto, so that an RPC need only be given a path."""
