//! Faults of the answer.

use std::time::Duration;

use super::{
    super::{
        answers, changes,
        entry::{
            At::{Any, Calls, LoggedIn, Writes},
            Does::{Answers, Changes},
            Entry, entry,
        },
        times,
    },
    DELETE, DETAILS, DOWNLOAD, EXPORT, EXPORT_STATUS, LAUNCH, LOGIN, POLLS, SCRIPT, STATUS, STEER, STOP,
};

const NOT_FOUND: &str = "The requested file was not found";
const NOT_AVAILABLE: &str = "API is not available";
const REDIRECT: &str = "http://elsewhere.example.test/";
const TRIAL: &str = "Export is not allowed in trial mode. Please purchase a full Nessus license to enable exports.";

/// A refusal that comes instead of the scanner's answer, which has not acted.
const fn refusal(
    name: &'static str,
    rows: &'static [u8],
    at: super::At,
    status: u16,
    text: &'static str,
    what: &'static str,
) -> Entry {
    entry(name, rows, at, Answers(answers::refuses), what).undone().status(status).text(text).takes(&[
        "status",
        "text",
        "retry_after",
        "when",
    ])
}

/// A scanner that only people can help.
const fn unusable(name: &'static str, word: &'static str, what: &'static str) -> Entry {
    entry(name, &[28], STATUS, Answers(answers::is_unusable), what)
        .undone()
        .times(0)
        .status(200)
        .text(word)
        .takes(&["status"])
}

pub(super) static FAULTS: [Entry; 62] = [
    refusal("api_not_available", &[7], Writes, 412, NOT_AVAILABLE, "writes are kept for the web interface"),
    entry(
        "api_not_available_cut",
        &[8],
        Writes,
        Answers(answers::refuses_without_body),
        "the head of a 412 comes, then the connection is closed",
    )
    .undone()
    .status(412)
    .text(NOT_AVAILABLE),
    refusal("script_404", &[10], SCRIPT, 404, NOT_FOUND, "there is no nessus6.js"),
    entry("script_without_token", &[10], SCRIPT, Answers(answers::script_without_token), "nessus6.js has no token"),
    entry("script_html", &[10], SCRIPT, Answers(answers::login_page), "nessus6.js is a page of HTML").status(200),
    entry(
        "script_huge",
        &[10],
        SCRIPT,
        Changes(changes::padded_script),
        "nessus6.js has as many `bytes` before what matters",
    )
    .bytes(5 << 20)
    .takes(&["bytes"]),
    refusal("unauthorized", &[11, 12], LoggedIn, 401, "Invalid Credentials", "a session is not accepted, but lives"),
    refusal("unauthorized_always", &[15], LoggedIn, 401, "Invalid Credentials", "no session is accepted, however new")
        .times(0),
    refusal("login_refused", &[13], LOGIN, 401, "Invalid Credentials", "logins are refused, until cleared").times(0),
    refusal("too_many_users", &[14], LOGIN, 500, "Too many users are connected", "nobody more can log in"),
    refusal("scan_disabled", &[16], LAUNCH, 403, "This scan is disabled", "the scan must not be launched"),
    refusal("trial_mode", &[17], EXPORT, 403, TRIAL, "the licence does not allow exports, until cleared").times(0),
    refusal("details_not_found", &[18], DETAILS, 404, NOT_FOUND, "a poll does not find the scan, which is there"),
    refusal("delete_not_found", &[19], DELETE, 404, NOT_FOUND, "the scan to be deleted is not found"),
    refusal("stop_not_found", &[19], STOP, 404, NOT_FOUND, "the scan to be stopped is not found"),
    refusal("launch_conflict", &[20], LAUNCH, 409, "The scan is already active", "the scan is said to run already"),
    refusal("not_active", &[21], STEER, 409, "Scan is not active", "the scan is said not to run"),
    refusal("delete_conflict", &[22], DELETE, 409, "Can not delete an active scan", "the scan is said to run still"),
    refusal(
        "export_conflict",
        &[23],
        EXPORT,
        409,
        "The report is already being created",
        "a report is being made already",
    ),
    refusal("rate_limited", &[24], Any, 429, "Too Many Requests", "429 with `retry_after`").retry_after("7"),
    refusal("rate_limited_date", &[24], Any, 429, "Too Many Requests", "429 with a date in 7 seconds")
        .retry_after("date+7"),
    refusal("rate_limited_silent", &[24], Any, 429, "Too Many Requests", "429 that does not say until when"),
    refusal("rate_limited_absurd", &[24], Any, 429, "Too Many Requests", "429 until tomorrow").retry_after("86400"),
    refusal("server_error", &[25], Any, 500, "Internal Server Error", "three errors of the server").times(3),
    entry(
        "bad_gateway",
        &[26],
        Any,
        Answers(answers::proxy_page),
        "a proxy cannot reach the scanner and says so in HTML",
    )
    .undone()
    .status(502)
    .text("Bad Gateway")
    .takes(&["status", "text", "when"]),
    entry(
        "gateway_timeout",
        &[26],
        Any,
        Answers(answers::proxy_page),
        "a proxy has not waited for the scanner, which acts, and says so in HTML",
    )
    .status(504)
    .text("Gateway Time-out")
    .takes(&["status", "text", "when"]),
    entry(
        "loading",
        &[27, 29],
        Any,
        Answers(answers::loads),
        "the scanner loads for `for_ms`: its status says so, everything else is 503",
    )
    .undone()
    .times(0)
    .status(200)
    .lasting(Duration::from_secs(5))
    .takes(&["for_ms", "status"]),
    entry("loading_503", &[27], Any, Answers(answers::loads), "the same, and the status is 503 as well")
        .undone()
        .times(0)
        .status(503)
        .lasting(Duration::from_secs(5))
        .takes(&["for_ms", "status"]),
    unusable("server_register", "register", "the scanner is not registered"),
    unusable("server_register_locked", "register-locked", "the scanner is not registered, and locked"),
    unusable("server_feed_expired", "feed-expired", "the plugin feed has expired"),
    unusable("server_eval_expired", "eval-expired", "the trial has expired"),
    unusable("server_locked", "locked", "the scanner is locked"),
    unusable("server_corrupt_db", "corrupt-db", "the scanner's database is broken"),
    unusable("server_download_failed", "download-failed", "the plugins could not be downloaded"),
    unusable("server_feed_error", "feed-error", "the plugin feed cannot be used"),
    entry(
        "must_destroy_session",
        &[29],
        STATUS,
        Answers(answers::must_destroy_session),
        "503 that asks for the end of the session",
    )
    .undone()
    .status(503),
    entry("hosts_null", &[33], DETAILS, Changes(changes::without_hosts), "`hosts` is null"),
    entry("totals_zero", &[33], DETAILS, Changes(changes::without_totals), "no host has any check to do"),
    entry(
        "progress_falls",
        &[33],
        DETAILS,
        Changes(changes::with_less_done),
        "every host has done half of what it had",
    ),
    entry("unknown_status", &[37], POLLS, Changes(changes::with_status_word), "a status that nobody knows, the `text`")
        .text("publishing")
        .takes(&["text"]),
    entry(
        "cancelled_spelling",
        &[37],
        POLLS,
        Changes(changes::with_canceled_spelt),
        "canceled is spelt `text`, until cleared",
    )
    .times(0)
    .text("cancelled")
    .takes(&["text"]),
    entry(
        "export_error_200",
        &[41],
        EXPORT_STATUS,
        Answers(answers::refuses_export),
        "the export has failed, says a 200",
    ),
    refusal(
        "export_not_found",
        &[42],
        Calls(&[
            "GET /scans/*/export/*/status",
            "GET /tokens/*/status",
            "GET /scans/*/export/*/download",
            "GET /tokens/*/download",
        ]),
        404,
        NOT_FOUND,
        "the export file is not found",
    ),
    entry(
        "xml_cut",
        &[45],
        DOWNLOAD,
        Changes(changes::cut),
        "only `percent` or `bytes` of the export exist; HTTP is right",
    )
    .percent(90)
    .takes(&["percent", "bytes"]),
    entry("empty_body", &[46, 50], Any, Changes(changes::emptied), "the body is empty"),
    entry(
        "not_ready_text",
        &[46],
        DOWNLOAD,
        Answers(answers::says),
        "instead of the export a sentence that it is not ready",
    )
    .status(200)
    .text("The download is not ready yet.")
    .takes(&["text", "status"]),
    entry(
        "html_login",
        &[46],
        DOWNLOAD,
        Answers(answers::login_page),
        "instead of the answer a page to log in, with 200",
    )
    .undone()
    .status(200)
    .takes(&["status"]),
    entry(
        "json_error_200",
        &[46],
        DOWNLOAD,
        Changes(changes::error_as_success),
        "instead of the answer an error, with 200",
    )
    .text("The report could not be read")
    .takes(&["text"]),
    entry(
        "huge_download",
        &[47],
        DOWNLOAD,
        Changes(changes::padded_export),
        "the export has as many `bytes`, most of them white space",
    )
    .bytes(500 << 20)
    .takes(&["bytes"]),
    entry("gzip", &[48], Any, Changes(changes::compressed), "the body is compressed, whatever the client reads"),
    entry("wrong_content_type", &[49], Any, Changes(changes::mistyped), "the content type is `text`")
        .text("text/html")
        .takes(&["text"]),
    entry(
        "invalid_json",
        &[50],
        Any,
        Changes(changes::halved),
        "`percent` or `bytes` of the body exist; HTTP is right",
    )
    .takes(&["percent", "bytes"]),
    entry("empty_list", &[50], Any, Changes(changes::list), "the answer is `[]`"),
    entry("ids_as_strings", &[50], Any, Changes(changes::ids_as_texts), "ids are texts, until cleared").times(0),
    entry("token_missing", &[50], LOGIN, Changes(changes::without_field), "a login answers without a token")
        .text("token"),
    entry(
        "field_missing",
        &[50],
        Calls(&["POST /scans/*/export"]),
        Changes(changes::without_field),
        "the field `text` is missing",
    )
    .text("file")
    .takes(&["text"]),
    entry("redirect", &[51], Any, Answers(answers::redirects), "a redirect to `text`")
        .undone()
        .status(302)
        .text(REDIRECT)
        .takes(&["text", "status"]),
    entry("clock_skew", &[55], Any, Changes(times::skewed), "all times are off by `text` seconds, until cleared")
        .times(0)
        .text("-7200")
        .takes(&["text"]),
    entry("timestamps_zero", &[55], Any, Changes(times::zero), "all times are 0, until cleared").times(0),
    entry("timestamps_as_strings", &[55], Any, Changes(times::texts), "all times are texts, until cleared").times(0),
    entry(
        "echo_request",
        &[56],
        Any,
        Answers(answers::echoes),
        "an error that shows the request with its headers and body: nothing of it may be logged",
    )
    .undone()
    .status(500)
    .text("Cannot process the request:")
    .takes(&["status", "text", "when"]),
];
