"""The parts of the second look: files read once, digests, blocks made again, what rests on what."""
