"""The gateway: every RPC as JSON over HTTP, live steps over WebSocket, and pages to look at.

An ordinary client of the gRPC service: it holds no session and no token, and passes on whose token
a call came with. `serving.run_gateway` runs it, inside `plumb serve` or alone.
"""
