//! Answers that somebody else gives: a scanner that refuses, a proxy, a page for people.

use std::time::SystemTime;

use serde_json::json;

use super::{entry::Settings, journeys};
use crate::{
    reply::Reply,
    wire::{ApiError, Incoming},
};

/// The status and `{"error": text}`, with `Retry-After` where there is one.
pub(super) fn refuses(_request: &Incoming, settings: &Settings) -> Reply {
    let reply = Reply::from(ApiError::new(settings.status, settings.text.clone()));
    match settings.retry_after.as_str() {
        "" => reply,
        value => reply.with_header("Retry-After", retry_after(value)),
    }
}

/// Seconds as they are; `date+SECONDS` as the date in so many seconds.
fn retry_after(value: &str) -> String {
    let seconds = value.strip_prefix("date+").and_then(|seconds| seconds.parse().ok());
    let date = |seconds| httpdate::fmt_http_date(SystemTime::now() + std::time::Duration::from_secs(seconds));
    seconds.map_or_else(|| value.to_owned(), date)
}

/// The refusal of writes whose body never comes.
pub(super) fn refuses_without_body(request: &Incoming, settings: &Settings) -> Reply {
    refuses(request, settings).with_delivery(journeys::head_only(settings))
}

/// The error page of a proxy.
pub(super) fn proxy_page(_request: &Incoming, settings: &Settings) -> Reply {
    let (status, text) = (settings.status, &settings.text);
    let page = format!(
        "<html>\r\n<head><title>{status} {text}</title></head>\r\n<body>\r\n<center><h1>{status} {text}</h1></center>\r\n\
         <hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
    );
    Reply::text("text/html", page).with_status(status)
}

/// The page on which people log in.
pub(super) fn login_page(_request: &Incoming, settings: &Settings) -> Reply {
    let page = "<!doctype html>\n<html><head><title>Sign in</title></head><body><form action=\"/login\" method=\"post\">\
                <input name=\"user\"><input name=\"password\" type=\"password\"></form></body></html>\n";
    Reply::text("text/html", page).with_status(settings.status)
}

/// The text, as it is.
pub(super) fn says(_request: &Incoming, settings: &Settings) -> Reply {
    Reply::text("text/plain", settings.text.clone()).with_status(settings.status)
}

/// A script without the function that knows the token.
pub(super) fn script_without_token(_request: &Incoming, _settings: &Settings) -> Reply {
    Reply::text(
        "application/javascript",
        "!function(e){e.Session=[{key:\"getTab\",value:function(){return\"top\"}}]}(window);\n",
    )
}

/// A redirect to the text.
pub(super) fn redirects(_request: &Incoming, settings: &Settings) -> Reply {
    Reply::text("text/html", "").with_status(settings.status).with_header("Location", settings.text.clone())
}

/// An error that shows the request, its headers and its body.
pub(super) fn echoes(request: &Incoming, settings: &Settings) -> Reply {
    ApiError::new(settings.status, format!("{}\n{}", settings.text, request.echo())).into()
}

/// The status of an export that has failed.
pub(super) fn refuses_export(_request: &Incoming, _settings: &Settings) -> Reply {
    Reply::json(&json!({ "status": "error" }))
}

/// The scanner starts: it says so where it is asked, and answers nothing else.
pub(super) fn loads(request: &Incoming, settings: &Settings) -> Reply {
    match request.path.as_str() {
        "/server/status" => status(settings, "loading", Some(37)),
        _ => ApiError::new(503, "Nessus is loading").into(),
    }
}

/// The scanner is in a state of which only people can help it out.
pub(super) fn is_unusable(_request: &Incoming, settings: &Settings) -> Reply {
    status(settings, &settings.text, None)
}

fn status(settings: &Settings, word: &str, progress: Option<u8>) -> Reply {
    let body = json!({ "code": settings.status, "progress": progress, "status": word });
    Reply::json(&body).with_status(settings.status)
}

/// The sessions of an earlier life must end first.
pub(super) fn must_destroy_session(_request: &Incoming, settings: &Settings) -> Reply {
    let body = json!({ "code": settings.status, "progress": null, "status": "loading", "must_destroy_session": true });
    Reply::json(&body).with_status(settings.status)
}
