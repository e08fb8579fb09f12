"""Two walks: ``loading`` takes an entry point to a running plugin, ``calls`` a hook call to its outcomes.

``loading`` may use ``calls``, never the other way. Beside them stand small rooms of one idea each.
"""
