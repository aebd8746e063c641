"""The runtime: threads of control, what they are about to do, and who decides who goes on.

The same coroutines run on a bare loop (:mod:`bare`), under trio one at a time (:mod:`controlled`), or
freely as trio tasks (:mod:`free`).
"""
