"""Connections of the gateway: how many are held, for how long, and for whom.

uvicorn speaks HTTP and WebSocket and holds whatever connects for as long as it likes; here the
number of connections, the time that a request may take to arrive, and what a peer may leave unread
are bounded.
"""
