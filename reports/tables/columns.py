"""The columns of the tables: key, title and meaning in a sentence, and which table has which columns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `title` is its header, `hint` its meaning in a sentence; `numeric` aligns right, `names_row`: it names rows."""

    key: str
    title: str
    hint: str
    numeric: bool = True
    names_row: bool = False


COLUMNS = {
    column.key: column
    for column in (
        Column("rank", "Rank", "Cells with the same rank cannot be told apart; = marks a tie."),
        Column("cell", "Cell", "Backend and endpoint.", numeric=False, names_row=True),
        Column("protocol", "Protocol", "What is spoken on the wire.", numeric=False),
        Column("runtime", "Runtime", "What computes the model.", numeric=False),
        Column("images_per_s", "Images/s", "Images answered per second of exchange, with the 95 % interval."),
        Column("ratio", "Ratio", "Speed relative to the cell named below the table, with its 95 % interval."),
        Column("p50", "p50 ms", "Half of all exchanges took at most this long."),
        Column("p90", "p90 ms", "90 % of all exchanges took at most this long."),
        Column("p95", "p95 ms", "95 % of all exchanges took at most this long."),
        Column("p99", "p99 ms", "99 % of all exchanges took at most this long; needs 459 samples."),
        Column("p999", "p99.9 ms", "99.9 % of all exchanges took at most this long; needs 4,603 samples."),
        Column("accuracy", "Accuracy", "Share of verified answers whose best class is the label."),
        Column("agreement", "Agreement", "Share of verified answers whose best class is that of the reference."),
        Column("max_abs_diff", "Largest difference", "Of any score from the reference's score."),
        Column("answers", "Answers verified", "Answers, one a request, that were decoded and compared with the reference."),
        Column(
            "ceiling", "Of ceiling", "Share of what the client reaches with a canned answer; above 70 % the client is measured."
        ),
        Column("cpu", "CPU ms/image", "CPU time that the server spent on one image."),
        Column("errors", "Errors", "Exchanges that went wrong."),
        Column("verdict", "Verdict", "May this cell be believed.", numeric=False),
        Column("exchanges", "Exchanges", "Timed requests that were answered."),
        Column("rounds", "Rounds", "Rounds of the campaign in which the cell had its slice."),
        Column("measured", "Measured s", "Seconds inside the clock."),
        Column("reconnects", "Reconnects", "Connections opened again, outside the clock."),
        Column("outliers", "Outliers", "Exchanges far slower than the rest; they count in every number."),
        Column("first", "First ms", "The first exchange of all, before the warm-up."),
        Column("mean", "Mean ms", "Arithmetic mean of all exchanges."),
        Column("encode", "Encode ms", "Building one request, before the clock."),
        Column("decode", "Decode ms", "Reading one answer, after the clock."),
        Column("request", "Request kB", "Size of one request's body."),
        Column("answer", "Answer kB", "Size of one answer's body."),
        Column("same", "Same-sample speed-up", "Speed when one request is repeated over speed with changing ones."),
        Column("threads", "Threads", "Threads of the server's processes."),
        Column("scenario", "Scenario", "How many clients asked, or how requests arrived.", numeric=False),
        Column("offered", "Offered/s", "Requests a second that the schedule asked for."),
        Column("answered", "Answered/s", "Requests a second that were answered."),
        Column("late", "Late sends", "Requests that the client sent more than 1 ms behind their schedule."),
        Column("repeated", "Windows repeated", "Windows measured again, since more than 1 % of their requests left late."),
        Column("lag", "Lag p99 ms", "99 % of the requests left at most this long behind their schedule."),
        Column("runnable", "Runnable", "Threads that ran, or waited to for no longer than they ran, on average."),
    )
}
_WHO = ("cell", "protocol", "runtime")
_TRUTH = ("accuracy", "agreement")
SPEED_KEYS = ("rank", *_WHO, "images_per_s", "ratio", "p50", "p90", "p99", *_TRUTH, "ceiling", "cpu", "errors", "verdict")
SPEED_TERMINAL_KEYS = ("rank", "cell", "images_per_s", "ratio", "p50", "p99", "accuracy", "verdict")
CORE_KEYS = ("rank", "cell", "images_per_s", "ratio", "p50", "p99", "accuracy", "agreement", "verdict")
ACCURACY_TERMINAL_KEYS = ("cell", *_TRUTH, "max_abs_diff", "verdict")
ACCURACY_KEYS = (*_WHO, *_TRUTH, "max_abs_diff", "answers", "errors", "verdict")
LOAD_METHOD_KEYS = (
    "cell",
    "scenario",
    "offered",
    "answered",
    "exchanges",
    "errors",
    "late",
    "repeated",
    "lag",
    "p50",
    "p90",
    "p99",
    "p999",
    "ceiling",
    "verdict",
)
_COUNTS = ("exchanges", "rounds", "measured", "errors", "reconnects", "outliers")
METHOD_KEYS = (
    "cell",
    *_COUNTS,
    "first",
    "mean",
    "p95",
    "p999",
    "encode",
    "decode",
    "request",
    "answer",
    "same",
    "threads",
    "runnable",
)
