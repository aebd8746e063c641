"""The generated parts of the docs: ``python -m docs.generate`` writes them, ``--check`` only looks.

A page is written by hand around blocks::

    <!-- begin NAME ARGUMENT -->
    ...
    <!-- end -->

What stands inside a block comes from the code, from a run of the emulator, or from a command's output.
The tests hold every block to what it would be now.
"""
