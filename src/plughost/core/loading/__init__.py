"""An entry point becomes a running plugin. Each room changes the datum's type, and data never turn back.

survey (finding) -> ordering -> loader -> supervisor (-> ledger) -> registry; ``lifecycle`` walks them.
"""
