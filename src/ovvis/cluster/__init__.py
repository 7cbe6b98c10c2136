"""The same work handed out to many processes on many machines, each of which loads the model once."""
