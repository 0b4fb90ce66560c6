"""The process that holds an engine of a measurement of speed.

It runs under the interpreter that has the engine's library, which may be another environment than ours: nothing in here
may import anything but the standard library, the engine's library and its own modules.
"""
