"""What others can hold against a run: the ledger of commitments, a signature, a time stamp."""
