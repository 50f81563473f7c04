"""Environments: what stands behind a session. Knows nothing of gRPC.

The seam is `environment`; `registry` finds what can stand behind it; `errors` is what goes wrong.
"""
