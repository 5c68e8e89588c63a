"""``make bench``: what is measured rather than tested, as ratios against a floor of the same run.

A second on one machine says nothing of another, and little of the same machine an hour later. So each figure is
measured side by side with the least that could do the job (the floor), in turns, and their ratio is what is told.
"""
