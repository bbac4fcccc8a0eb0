"""What runs inside the boxes: standard library only, sent as source, never imported by the host at run time.

    zygote    the small parent that forks one process per job
    confine   what a forked job gives up before it runs anything: namespaces, limits, capabilities, system calls
    worker    holds the program under test and answers calls
    judge     holds the tests; the program is a proxy there
    checked, collected   what in a test can fail and what of it is never run; functions, classes and doctests run
    script    runs one whole program with its standard streams
    codec, channel, remote   plain data and handles between worker and judge

The host reads these files as text and hands them over through a pipe, so that not even the package's own
source needs to be visible from inside.
"""
