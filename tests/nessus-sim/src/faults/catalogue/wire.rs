//! Faults of the connection.

use std::time::Duration;

use super::{
    super::{
        entry::{
            At::{Any, Nothing, Writes},
            Does::{Refuses, Shows, Travels},
            Entry, entry,
        },
        journeys,
    },
    CREATE, DOWNLOAD, LAUNCH,
};
use crate::certificates::Certificate;

pub(super) static FAULTS: [Entry; 32] = [
    entry(
        "certificate_expired",
        &[2],
        Nothing,
        Shows(Certificate::Expired),
        "new connections see an expired certificate, until cleared; with https only",
    )
    .times(0),
    entry(
        "certificate_wrong_host",
        &[2],
        Nothing,
        Shows(Certificate::WrongHost),
        "new connections see the certificate of another host, until cleared; with https only",
    )
    .times(0),
    entry(
        "refuse_connections",
        &[1, 29],
        Nothing,
        Refuses,
        "connections are broken and refused, for `for_ms` or until cleared",
    )
    .takes(&["for_ms"]),
    entry("silence", &[1, 3], Any, Travels(journeys::silent), "the request is read, and nothing ever comes").undone(),
    entry("reset", &[1, 6], Any, Travels(journeys::reset), "the connection is reset instead of an answer").undone(),
    entry("closed", &[6, 8], Any, Travels(journeys::closed), "the connection is closed instead of an answer").undone(),
    entry("latency", &[3], Any, Travels(journeys::late), "the answer comes `delay_ms` later")
        .delay(Duration::from_secs(2))
        .takes(&["delay_ms"]),
    entry(
        "slow_headers",
        &[3],
        Any,
        Travels(journeys::slow_head),
        "the head comes `bytes` at a time, `delay_ms` apart",
    )
    .bytes(1)
    .delay(Duration::from_millis(20))
    .takes(&["bytes", "delay_ms"]),
    entry(
        "create_timeout",
        &[4, 53],
        CREATE,
        Travels(journeys::late),
        "the scan is created, the answer comes after `delay_ms`",
    )
    .delay(Duration::from_secs(60))
    .takes(&["delay_ms"]),
    entry(
        "create_timeout_undone",
        &[4],
        CREATE,
        Travels(journeys::late),
        "no scan is created; after `delay_ms` the connection is closed",
    )
    .undone()
    .delay(Duration::from_secs(60))
    .takes(&["delay_ms"]),
    entry(
        "create_lost",
        &[4, 8, 53],
        CREATE,
        Travels(journeys::closed),
        "the scan is created, the connection is closed without an answer",
    ),
    entry(
        "create_lost_undone",
        &[4, 8],
        CREATE,
        Travels(journeys::closed),
        "no scan is created, the connection is closed without an answer",
    )
    .undone(),
    entry(
        "create_reset",
        &[4],
        CREATE,
        Travels(journeys::reset),
        "the scan is created, the connection is reset without an answer",
    ),
    entry(
        "create_reset_undone",
        &[4],
        CREATE,
        Travels(journeys::reset),
        "no scan is created, the connection is reset without an answer",
    )
    .undone(),
    entry(
        "launch_timeout",
        &[5, 53],
        LAUNCH,
        Travels(journeys::late),
        "the scan is launched, the answer comes after `delay_ms`",
    )
    .delay(Duration::from_secs(60))
    .takes(&["delay_ms"]),
    entry(
        "launch_timeout_undone",
        &[5],
        LAUNCH,
        Travels(journeys::late),
        "no scan is launched; after `delay_ms` the connection is closed",
    )
    .undone()
    .delay(Duration::from_secs(60))
    .takes(&["delay_ms"]),
    entry(
        "launch_lost",
        &[5, 53],
        LAUNCH,
        Travels(journeys::closed),
        "the scan is launched, the connection is closed without an answer",
    ),
    entry(
        "launch_lost_undone",
        &[5],
        LAUNCH,
        Travels(journeys::closed),
        "no scan is launched, the connection is closed without an answer",
    )
    .undone(),
    entry(
        "launch_reset",
        &[5],
        LAUNCH,
        Travels(journeys::reset),
        "the scan is launched, the connection is reset without an answer",
    ),
    entry(
        "launch_reset_undone",
        &[5],
        LAUNCH,
        Travels(journeys::reset),
        "no scan is launched, the connection is reset without an answer",
    )
    .undone(),
    entry(
        "stale_connection",
        &[6],
        Any,
        Travels(journeys::closed),
        "a connection that has carried a request is closed at the next one, which is not done",
    )
    .undone()
    .on_used_connection(),
    entry(
        "closed_behind",
        &[6],
        Any,
        Travels(journeys::closed_behind),
        "the answer comes whole, then the connection is closed, unannounced",
    ),
    entry(
        "write_unanswered",
        &[8],
        Writes,
        Travels(journeys::closed),
        "a write is not done, the connection is closed without an answer",
    )
    .undone(),
    entry(
        "write_unanswered_done",
        &[8],
        Writes,
        Travels(journeys::closed),
        "a write is done, the connection is closed without an answer",
    ),
    entry("headers_only", &[44], Any, Travels(journeys::head_only), "the head comes, then the connection is closed"),
    entry("headers_then_silence", &[3, 47], Any, Travels(journeys::head_then_silence), "the head comes, then nothing"),
    entry(
        "short_download",
        &[43],
        DOWNLOAD,
        Travels(journeys::short),
        "`percent` or `bytes` of what `Content-Length` says come, then the connection is closed",
    )
    .takes(&["percent", "bytes"]),
    entry(
        "chunked_abort",
        &[44],
        DOWNLOAD,
        Travels(journeys::short_chunked),
        "`percent` or `bytes` come in chunks, then the connection is closed",
    )
    .takes(&["percent", "bytes"]),
    entry(
        "download_reset",
        &[44],
        DOWNLOAD,
        Travels(journeys::cut),
        "`percent` or `bytes` come, then the connection is reset",
    )
    .takes(&["percent", "bytes"]),
    entry("download_stalls", &[47], DOWNLOAD, Travels(journeys::stalled), "`percent` or `bytes` come, then nothing")
        .takes(&["percent", "bytes"]),
    entry("trickle", &[47], DOWNLOAD, Travels(journeys::trickle), "the body comes `bytes` at a time, `delay_ms` apart")
        .bytes(1024)
        .delay(Duration::from_millis(100))
        .takes(&["bytes", "delay_ms"]),
    entry(
        "chunked",
        &[44, 47],
        DOWNLOAD,
        Travels(journeys::chunked),
        "the body comes whole, in chunks, its length untold",
    ),
];
