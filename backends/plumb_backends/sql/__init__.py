"""SQL as text: statements, results and their renderings; what every backend of MySQL shares."""
