"""Plain words for whoever reads a report: what the verdicts and the terms mean."""

from __future__ import annotations

from bench.records import Verdict

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
