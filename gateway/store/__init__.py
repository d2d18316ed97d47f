"""What remains of calls: companies, calls, transcripts, recordings, campaigns, deliveries.

Only the gateway writes, in batches, off the audio's way. A database that is locked, full or away
delays records and never calls: what cannot be written waits, and is lost by nobody.
"""
