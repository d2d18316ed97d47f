"""Where a number's voice webhook may be: our own path, and those of the systems we replace.

A number that was another system's needs another host in Twilio's console, and no other path. It
refuses to know what is done there.
"""

VOICE_PATHS = (
    "/twilio/voice",
    *("/twilio/incoming", "/incoming"),  # Ultravox's examples
    *("/webhook/twilio", "/incoming-call-eleven"),  # Voice Agents
    "/incoming-call",  # VoxFlow
)
