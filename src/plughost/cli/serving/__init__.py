"""``plughost serve``: where it listens, how it treats connections, and the processes it consists of.

- ``options``: what the command line said, checked before anything starts
- ``listening``: the sockets, made here or inherited
- ``connections``: time limit and bound of connections, on uvicorn's protocols
- ``idling``: how long a connection waits for its next request
- ``heads`` and ``writes``: what leaves, put together at less cost
- ``server``: uvicorn, stopped in steps
- ``notify``: what a service manager is told
- ``running``: a host with its server, in one process
- ``sharing``: who of several processes takes a connection
- ``workers``: several of those processes and the one that looks after them
"""
