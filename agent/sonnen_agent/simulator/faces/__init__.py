"""The bodies of a battery's answers: field names, types, quoting and nulls of each generation. No I/O."""
