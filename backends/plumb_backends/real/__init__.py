"""The real things: sandboxes in containers, and the terminal that frames their shell."""
