"""Spool: what a node keeps on disk, so that a kill or a power cut loses and repeats nothing.

    incoming/<pid>.<name>           being written; nobody looks here
    runs/<job>.<attempt>/accepted   a checksum; then when it came, the sealed delivery and request
                         claim      the runner that has taken it: an attempt is started at most once
                         program    the process at work, and how long it may take
                         final      the sealed final reply, once the broker has confirmed it
                         request.json reply.json progress stdout stderr work/
    outbox/<job>.<attempt>.<stage>  sealed replies the broker has not confirmed; a final one counts
                                    from here on, and moves to its run when confirmed
    fences/<job>.<attempt>          what was ordered of the attempt, even of one that never came
    broken/                         what is no run and no reply
    seen                            attempts of inline actions, a line each

A run directory appears by one rename and a final reply by one link: both are whole or absent.
"""
