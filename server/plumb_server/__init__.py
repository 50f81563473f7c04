"""The gRPC service: thin. What it does is in `sessions`; what environments are is in plumb_backends."""
