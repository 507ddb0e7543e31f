from . import compatible, corrections, events, lago, monitoring, openapi, openmeter, summaries, usage
