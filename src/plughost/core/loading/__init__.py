"""An entry point becomes a running plugin. Each room changes the datum's type, and data never turn back.

sources -> discovery -> ordering -> loader -> supervisor (-> ledger) -> registry; ``lifecycle`` walks them.
"""
