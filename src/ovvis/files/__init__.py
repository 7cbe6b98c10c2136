"""Files that are whole or absent, and processes that do not write into each other's."""
