"""TwiML's names: the attributes of each element, and what Twilio has that the phone does not do.

Source: Twilio's TwiML pages and the attribute lists of `twilio.twiml.voice_response`.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


GATHER = _names(
    """input action method timeout speechTimeout maxSpeechTime numDigits finishOnKey language hints
    speechModel enhanced profanityFilter partialResultCallback partialResultCallbackMethod bargeIn
    debug actionOnEmptyResult dtmfDetection"""
)
DIAL = _names(
    """action method timeout timeLimit callerId answerOnBridge hangupOnStar record
    recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent
    recordingTrack trim ringTone sequential referUrl referMethod"""
)
NUMBER = _names(
    """sendDigits url method statusCallback statusCallbackMethod statusCallbackEvent byoc
    machineDetection machineDetectionTimeout machineDetectionSpeechThreshold
    machineDetectionSpeechEndThreshold machineDetectionSilenceTimeout amdStatusCallback
    amdStatusCallbackMethod"""
)
CONFERENCE = _names(
    """muted beep startConferenceOnEnter endConferenceOnExit waitUrl waitMethod maxParticipants
    record region coach trim statusCallbackEvent statusCallback statusCallbackMethod
    recordingStatusCallback recordingStatusCallbackMethod recordingStatusCallbackEvent
    eventCallbackUrl jitterBufferSize participantLabel recordingConfigurationId"""
)
ROOM_EVENTS = _names("start end join leave mute hold modify speaker announcement")
STREAM = _names(
    """url name track statusCallback statusCallbackMethod connectorName audioFormat sampleRate"""
)
SSML = _names("break emphasis lang p phoneme prosody s say-as sub w amazon:effect amazon:domain")
"""What may shape the speech inside ``<Say>``; its text is spoken."""

OTHER_VERBS = _names("Echo Enqueue Leave Message Pay Prompt Queue Record Refer Sms Start Stop Task")
OTHER_CONNECT = _names("AiSession Autopilot Conversation ConversationRelay Room VirtualAgent")
OTHER_DIAL = _names("Application Client Queue Sim Sip WhatsApp")
