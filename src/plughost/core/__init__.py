"""Two walks: ``finding`` and ``loading`` lead from entry point to running plugin, ``calls`` from hook call to outcomes.

``finding`` reads metadata only; ``loading`` may use ``calls``, never the other way. ``packages`` opens code that is not
installed, ``config`` lays settings over one another. A plugin in a process of its own has three rooms: ``processes`` is
the host's side of it, ``guest`` the inside of that process, ``wire`` what travels between the two. The files beside
them are one idea each.
"""
