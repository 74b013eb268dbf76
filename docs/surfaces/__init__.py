"""What the Python interface, HTTP and the command line call the same thing, found out from the code.

A method's routes are read from the source of `RemoteClient`. Which field of a request a parameter becomes, and which
parameter an option becomes, is seen by trying: calls and commands run against recorders that keep what they were asked
for and send nothing. What only some surfaces have stands in `reasons`.
"""
