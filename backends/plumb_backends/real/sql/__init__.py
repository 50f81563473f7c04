"""What a MySQL session says and hears, as text and values. Pure: nothing here talks to a server."""
