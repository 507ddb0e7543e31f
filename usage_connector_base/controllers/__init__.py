from . import compatible, events, lago, monitoring, openapi, openmeter, usage
