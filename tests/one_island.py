"""The smallest sensible population: one island, stick breaking, nothing forgotten.

What a test adds to it is what the test is about; the defaults of the package are for real streams.
"""

ONE_ISLAND = {"n_islands": 1, "gate": "comb", "forgetting": 1.0}
