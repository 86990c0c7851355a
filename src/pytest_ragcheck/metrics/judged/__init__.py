"""Metrics that a model judges: deepeval's, with every call made through the gateway.

deepeval does the asking and the arithmetic; what is ours is the judge model that it asks, the concurrency, what is kept
and the evidence that a score rests on. deepeval is imported when the first score has to be measured, never before.
"""
