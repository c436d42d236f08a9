"""Plain words for whoever reads a report: what the verdicts and the terms mean."""

from __future__ import annotations

from bench.contract.records import Verdict

VERDICTS = {
    Verdict.VALID: "Nothing speaks against the number.",
    Verdict.UNSTABLE: "It changed while it was measured, by more than the machine's own drift.",
    Verdict.CLIENT_BOUND: "The client was the bottleneck: the server may be faster than shown.",
    Verdict.OVERSUBSCRIBED: "The server wanted more CPU than it was given: its threads waited for each other.",
    Verdict.SATURATED: "The server fell behind what was offered, so the queue grew: the latencies tell how long the run was.",
    Verdict.CACHED: "It answers a repeated image faster than a new one: it remembers instead of computing.",
    Verdict.WRONG_ANSWERS: "Some answers were not those of the model. Speed of wrong answers is worth nothing.",
    Verdict.FAILED: "It was started, but did not answer as it must.",
    Verdict.NOT_MEASURED: (
        "It could not be had on this machine, or the run ended or had too few requests before there was a figure; "
        "the reason is given."
    ),
}

READING = (
    (
        "Cell",
        "One endpoint of one backend in one scenario. An endpoint is one protocol of a backend: the same server can be slow "
        "over JSON and fast over raw floats, so the two are never one number.",
    ),
    (
        "Images/s",
        "Images answered per second, one client, one connection, the next request after the last answer. The interval (±) "
        "would hold the true value in 95 of 100 such runs.",
    ),
    (
        "Rank and ties",
        "All cells take turns within each fraction of a second, so that the machine's ups and downs meet all of them alike. "
        "Two cells share a rank (=) when the interval of their ratio holds 1: a difference may exist, this run cannot show it.",
    ),
    (
        "Latency",
        "Time of one exchange, from the first byte sent to the last byte received; of a batch, the time of all of it. "
        "p99 is what 99 of 100 exchanges kept within. A percentile that the number of samples cannot support is left out (–).",
    ),
    (
        "Accuracy and agreement",
        "Accuracy is the share of images that were classified right: a matter of the model, which is the same everywhere. "
        "Agreement is the share of answers that equal those of the same model run in this process: a matter of the server.",
    ),
    (
        "Ceiling",
        "A server that computes nothing and answers at once (null) shows how fast this client can be at all. "
        "A cell above 70 % of that is CLIENT_BOUND.",
    ),
    (
        "Instruments",
        "null (the ceiling) and reference (the model without any serving) are measured alike, but compete with nobody.",
    ),
    ("CPU per image", "CPU time of the server's processes for one image: what you pay for, also where the latency hides it."),
)

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
