"""Offline speech: two engines that come with their wheels and need no network, wrapped.

espeak-ng speaks, pocketsphinx hears. Everything here works on bytes and returns values: no event
loop, no call, no provider. Both engines are global state of a process and are used from one
thread; both may be loaded before a fork and used after it.
"""
