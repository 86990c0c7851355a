"""The baseline, the comparison of a run with it, and the gate's decision; knows nothing of pytest."""
