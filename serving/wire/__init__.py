"""What travels over HTTP: JSON bodies of requests and answers, with their limits.

The contract types of `recsys.contracts` state the laws; the types here state the shapes, and refuse what no law could
be asked about: unknown keys, NaN, numbers as text, lists without end.
"""
