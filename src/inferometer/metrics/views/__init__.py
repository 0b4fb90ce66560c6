"""The same record by the definitions of other tools."""
