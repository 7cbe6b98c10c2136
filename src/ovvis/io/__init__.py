"""Any source to frames, results to JSON, results to a painted video."""
