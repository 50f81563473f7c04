"""The gRPC service, thin: what it does is in `sessions`, what environments are elsewhere."""
