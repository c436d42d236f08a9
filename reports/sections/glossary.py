"""How to read a report: what the terms and the verdicts mean."""

from bench.contract.records import Verdict
from reports.sections.section import Heading, Lean, Pairs, Section
from reports.store.store import StoredRun

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


def section(_: StoredRun) -> Section:
    """The terms and the verdicts; the same for every run."""
    blocks = (
        Pairs(READING, until=Lean.BACKGROUND),
        Heading("Verdicts", until=Lean.BACKGROUND),
        Pairs(tuple((str(verdict), verdict.meaning) for verdict in Verdict), until=Lean.BACKGROUND),
    )
    return Section("reading", "How to read this", blocks, finding="Every term and every verdict, explained.")
