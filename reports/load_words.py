"""Plain words for what was measured under load: the same in every report."""

from __future__ import annotations

INTRO = (
    "What happens when others ask too. Each request is one image. Rows and panels are grouped by protocol; hollow points, "
    "dashed lines and marked figures are not VALID. Of a client that could not keep its schedule nothing is shown: it would "
    "not be the server's."
)
CLIENTS = (
    "So many connections ask at once, each in a closed loop: the next request leaves after the last answer. Along a line the "
    "number of clients grows: to the right while there is room, upwards once the server is full and requests wait. A thin "
    "line is where the mean latency of so many clients must lie (clients = throughput × latency). The dotted line is null: "
    "what the client can do at all."
)
OPEN_LOOP = (
    "Requests leave on a schedule, whether or not the earlier ones were answered, and latency counts from when each should "
    "have left. Each server is offered the same part of what it carries itself in a closed loop of several clients, so that a "
    "fast and a slow one are equally busy. A curve ends at the highest percentile that its number of requests supports."
)
LIMIT = (
    "The highest rate of Poisson arrivals at which 99 of 100 requests were shown to keep within the limit, found by bisection. "
    "At the lower end of the bracket (the whisker) that could be shown, with confidence 99 % in each of two probes, at its "
    "upper end it could not: a search that believed less would end a little higher. Two whose brackets overlap cannot be told "
    "apart. Goodput counts the answers within the limit."
)
LOOPS = (
    "In a closed loop the next request leaves after the last answer: while a server stalls, nobody asks it, so the stall "
    "makes one request slow. In an open loop requests keep coming and wait, and each counts from when it should have been "
    "sent. What the closed loop leaves out is called coordinated omission: read a tail from the open loop."
)
