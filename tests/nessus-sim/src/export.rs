//! Export files: requested, waited for, fetched by number or by token.

use serde_json::{Value, json};

use super::{
    config::Exporting,
    details::report_of,
    files::Format,
    reply::Reply,
    state::State,
    wire::{ApiError, Call, Outcome},
};

const TRIAL_MODE: &str =
    "Export is not allowed in trial mode. Please purchase a full Nessus license to enable exports.";

/// `GET /scans/{id}/export/formats`.
pub(super) fn formats(state: &mut State, call: &Call<'_>) -> Outcome {
    state.scan(call.id(0)?)?;
    Ok(Reply::json(&json!({
        "formats": { "export": [{ "name": "Nessus", "value": "nessus" }], "format": [{ "name": "CSV", "value": "csv" }] },
        "report_options": { "csvColumns": [] },
    })))
}

/// `POST /scans/{id}/export`.
pub(super) fn request(state: &mut State, call: &Call<'_>) -> Outcome {
    let id = call.id(0)?;
    if state.config.exports == Exporting::Blocked {
        return Err(ApiError::new(403, TRIAL_MODE));
    }
    let scan = state.scan(id)?;
    let run = scan.run_of(call.request.query("history_id"))?;
    let body: Value = call.request.json()?;
    let format = body["format"].as_str().and_then(Format::parse).ok_or_else(|| ApiError::invalid_field("format"))?;
    // A scan that never ran has nothing to export.
    let run = run.ok_or_else(ApiError::not_found)?;
    if run.phase.is_active() {
        return Err(ApiError::new(409, "Can not export running scans"));
    }
    let input = report_of(state, scan, run, call.now);
    let number = 1_000_000_000 + state.next_id();
    let ready = call.now.plus(state.config.export_takes());
    let token = state.exports.add(number, id, format, ready, input);
    state.counted.exports += 1;
    Ok(Reply::json(&json!({ "file": number, "token": token })))
}

/// `GET /scans/{id}/export/{file}/status`.
pub(super) fn file_status(state: &mut State, call: &Call<'_>) -> Outcome {
    let (scan_id, number) = (call.id(0)?, call.id(1)?);
    if state.exports.take_spoiled(|spoiled, _| spoiled == number) {
        return Ok(Reply::json(&json!({ "status": "error" })).with_status(500));
    }
    let file = state.exports.by_number(scan_id, number, call.now)?;
    Ok(Reply::json(&json!({ "status": if file.is_ready(call.now) { "ready" } else { "loading" } })))
}

/// `GET /scans/{id}/export/{file}/download`.
pub(super) fn file_download(state: &mut State, call: &Call<'_>) -> Outcome {
    let file = state.exports.by_number(call.id(0)?, call.id(1)?, call.now)?;
    if !file.is_ready(call.now) {
        return Err(ApiError::new(409, "The report is still being generated"));
    }
    let reply = file.download(&state.config.download_type, state.config.export_file.as_deref())?;
    state.counted.downloads += 1;
    Ok(reply)
}

/// `GET /tokens/{token}/status`.
pub(super) fn token_status(state: &mut State, call: &Call<'_>) -> Outcome {
    if state.exports.take_spoiled(|_, token| token == call.arg(0)) {
        let body = json!({ "error": "The report could not be made", "message": "", "status": "error" });
        return Ok(Reply::json(&body).with_status(500));
    }
    let ready = state.exports.by_token(call.arg(0), call.now)?.is_ready(call.now);
    let (message, status) =
        if ready { ("The download is ready.", "ready") } else { ("The download is not ready yet.", "loading") };
    Ok(Reply::json(&json!({ "error": "", "message": message, "status": status })))
}

/// `GET /tokens/{token}/download`; asked too early, it answers 200 with a sentence, as the scanner does.
pub(super) fn token_download(state: &mut State, call: &Call<'_>) -> Outcome {
    let file = state.exports.by_token(call.arg(0), call.now)?;
    if !file.is_ready(call.now) {
        return Ok(Reply::text("text/plain", "The download is not ready yet."));
    }
    let reply = file.download(&state.config.download_type, state.config.export_file.as_deref())?;
    state.counted.downloads += 1;
    Ok(reply)
}
