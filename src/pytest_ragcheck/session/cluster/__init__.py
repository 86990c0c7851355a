"""The engine beyond one machine: the same engine in actors on the nodes of a Ray cluster.

The driver (pytest's process) keeps the questions and the store. Each actor has a *seat*: its share of what may be
called at the same time. It takes a few questions at a time and gives back each result as it comes. An actor that is
lost is replaced in its seat, and its unfinished questions are asked again; what it had paid for is in the store.
"""
