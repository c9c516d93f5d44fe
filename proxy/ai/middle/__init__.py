"""The middle form: what every format of AI calls is read into, and written from.

A client speaks one format, a provider perhaps another. Where both are the same the bytes go
through; elsewhere the one is read into these types and the other is written from them, so n
formats need n readers and n writers and not n squared translators. A type here says what is
meant, not how any one provider spells it; what only one format can say is kept as ``Foreign``,
for that format alone, and is reported as dropped by every other.
"""

from proxy.ai.middle.answer import Answer, Choice, Fault, Finish, Usage
from proxy.ai.middle.events import (
    Begin,
    ChoiceEnd,
    Counted,
    Event,
    Failed,
    Other,
    PartBegin,
    PartCited,
    PartDelta,
    PartEnd,
    PartSigned,
)
from proxy.ai.middle.parts import (
    Citation,
    Foreign,
    Media,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from proxy.ai.middle.request import (
    Message,
    OutputFormat,
    Reasoning,
    Request,
    Tool,
    ToolChoice,
)

__all__ = [
    "Answer",
    "Begin",
    "Choice",
    "ChoiceEnd",
    "Citation",
    "Counted",
    "Event",
    "Failed",
    "Fault",
    "Finish",
    "Foreign",
    "Media",
    "Message",
    "Other",
    "OutputFormat",
    "Part",
    "PartBegin",
    "PartCited",
    "PartDelta",
    "PartEnd",
    "PartSigned",
    "Reasoning",
    "Refusal",
    "Request",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
    "Usage",
]
