"""Identity over time: it sees embeddings, never pixels."""
