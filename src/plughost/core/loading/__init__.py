"""An entry point becomes a running plugin. Each step makes another type of what it is given; none hands back.

finding's survey -> ordering -> loader -> supervisor (-> ledger) -> registry; ``lifecycle`` walks them.
"""
