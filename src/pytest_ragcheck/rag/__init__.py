"""Documents in, contexts and answers out: ingestion, embedding, index, generation."""
