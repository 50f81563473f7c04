"""What stands below a MySQL session: servers, accounts on them, connections, names, probes."""
