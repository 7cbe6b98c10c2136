"""What a result answers with more than it holds: pictures from its source, files, tables."""
