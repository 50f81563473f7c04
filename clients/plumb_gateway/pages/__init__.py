"""The pages: rendered here, on the server; what came from a sandbox or a model is always text."""
