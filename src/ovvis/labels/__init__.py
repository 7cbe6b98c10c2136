"""Labels as people write them: in a list, on a command line, in a file of any kind."""
