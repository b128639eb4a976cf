"""Evidence packs: made from a job's log, signed, and verified. Bytes in, values out; files are the caller's."""
