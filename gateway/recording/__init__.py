"""What was heard in calls, kept: our own recordings, and the carrier's.

`tape` lays both sides down by playback time, `recorder` holds one for a call, `studio` writes them
all to files and makes whole what a crash has left, `inventory` compares files with records;
`carrier` follows the carrier's recordings, `clip` and `api` give them out.
"""
