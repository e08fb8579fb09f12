"""Two walks: ``finding`` and ``loading`` lead from entry point to running plugin, ``calls`` from hook call to outcomes.

``finding`` reads metadata only; ``loading`` may use ``calls``, never the other way. ``packages`` opens code that is not
installed. Beside them stand small rooms of one idea each.
"""
