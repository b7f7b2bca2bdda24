//! The table of endpoints: what they are called, who may call them, who answers.

use super::{
    certificates::Certificate,
    config::BodyLength,
    credentials, details, editor, export,
    faults::{Asked, Faults},
    policies,
    reply::Reply,
    scans, server, session,
    state::{Shared, State},
    wire::{Answer, ApiError, Call, Incoming, Outcome},
};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Anybody.
    Open,
    /// Whoever is logged in, by session or API keys.
    User,
    /// A session of the web interface, which shows by its `X-API-Token`; others only with Nessus Manager.
    Interface,
}
use Access::{Interface, Open, User};

struct Route {
    /// Method and path; `*` is a part that is left open.
    name: &'static str,
    access: Access,
    endpoint: fn(&mut State, &Call<'_>) -> Outcome,
}

const fn route(name: &'static str, access: Access, endpoint: fn(&mut State, &Call<'_>) -> Outcome) -> Route {
    Route { name, access, endpoint }
}

/// The first match answers: fixed parts stand before open ones.
static ROUTES: [Route; 44] = [
    route("GET /", Open, server::index),
    route("GET /nessus6.js", Open, server::script),
    route("GET /server/status", Open, server::status),
    route("GET /server/properties", Open, server::properties),
    route("POST /session", Open, session::login),
    route("GET /session", User, session::show),
    route("DELETE /session", User, session::logout),
    route("PUT /session/keys", User, session::new_keys),
    route("GET /editor/scan/templates", User, editor::templates),
    route("GET /editor/policy/templates", User, editor::templates),
    route("GET /editor/scan/templates/*", User, editor::template_details),
    route("GET /editor/scan/*", User, editor::scan_details),
    route("GET /folders", User, editor::folders),
    route("GET /policies", User, policies::list),
    route("POST /policies", User, policies::create),
    route("GET /policies/*", User, policies::details),
    route("PUT /policies/*", User, policies::configure),
    route("DELETE /policies/*", User, policies::delete),
    route("GET /scanners", User, server::scanners),
    route("GET /scanners/*/scans", User, server::running_scans),
    route("POST /file/upload", User, credentials::upload),
    route("GET /scans", User, scans::list),
    route("POST /scans", Interface, scans::create),
    route("DELETE /scans", Interface, scans::delete_many),
    route("GET /scans/*", User, details::scan),
    route("PUT /scans/*", Interface, scans::configure),
    route("DELETE /scans/*", Interface, scans::delete),
    route("POST /scans/*/copy", Interface, scans::duplicate),
    route("DELETE /scans/*/history/*", Interface, scans::forget_run),
    route("PUT /scans/*/folder", User, scans::move_to_folder),
    route("PUT /scans/*/status", Interface, scans::mark_read),
    route("POST /scans/*/launch", Interface, scans::launch),
    route("POST /scans/*/pause", Interface, scans::pause),
    route("POST /scans/*/resume", Interface, scans::resume),
    route("POST /scans/*/stop", Interface, scans::stop),
    route("POST /scans/*/kill", Interface, scans::kill),
    route("GET /scans/*/hosts/*", User, details::host),
    route("GET /scans/*/hosts/*/plugins/*", User, details::plugin_output),
    route("POST /scans/*/export", User, export::request),
    route("GET /scans/*/export/formats", User, export::formats),
    route("GET /scans/*/export/*/status", User, export::file_status),
    route("GET /scans/*/export/*/download", User, export::file_download),
    route("GET /tokens/*/status", Open, export::token_status),
    route("GET /tokens/*/download", Open, export::token_download),
];

/// The scanner's port.
pub(super) struct Scanner {
    shared: Shared,
    faults: Faults,
}

impl Scanner {
    pub(super) fn new(shared: Shared, faults: Faults) -> Self {
        Self { shared, faults }
    }
}

impl Answer for Scanner {
    fn answer(&self, request: &Incoming) -> Reply {
        let mut state = self.shared.lock();
        if state.config.body_length == BodyLength::Required && request.lacks_length() {
            return ApiError::new(411, "Length Required").into();
        }
        let matched = ROUTES.iter().find_map(|route| Some((route, open_parts(route, request)?)));
        match &matched {
            Some((route, _)) => state.counted.count_call(route.name),
            None => state.counted.count_call("other"),
        }
        let access = matched.as_ref().map_or(Open, |(route, _)| route.access);
        let asked = Asked { request, needs_login: access != Open, is_write: access == Interface };
        // Before any fault looks at the runs.
        state.advance();
        self.faults.answer(&mut state, &asked, |state| match matched {
            Some((route, args)) => dispatch(state, request, route, args).unwrap_or_else(Reply::from),
            None => ApiError::new(404, "The requested resource was not found").into(),
        })
    }

    fn connected(&self) -> Certificate {
        let mut state = self.shared.lock();
        state.counted.connections += 1;
        self.faults.certificate(&state).or(state.config.certificate).unwrap_or_default()
    }
}

fn dispatch<'a>(state: &mut State, request: &'a Incoming, route: &Route, args: Vec<&'a str>) -> Outcome {
    let now = state.advance();
    let session = session::cookie(request).filter(|token| state.sessions.touch(token, now));
    let keys = session::api_keys_valid(request, state.api_keys.as_ref()).unwrap_or(false);
    let logged_in = session.is_some() || keys;
    match route.access {
        User | Interface if !logged_in => return Err(ApiError::unauthorized()),
        Interface if !may_steer(state, request, session.is_some()) => return Err(ApiError::not_available()),
        Open | User | Interface => {}
    }
    (route.endpoint)(state, &Call { request, args, now, session, logged_in })
}

/// The parts of the request's path that the pattern leaves open, when it fits.
fn open_parts<'a>(route: &Route, request: &'a Incoming) -> Option<Vec<&'a str>> {
    let (method, pattern) = route.name.split_once(' ')?;
    if method != request.method {
        return None;
    }
    let mut args = Vec::new();
    let mut pattern = pattern.split('/');
    let mut path = request.path.split('/');
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return Some(args),
            (Some("*"), Some(part)) if !part.is_empty() => args.push(part),
            (Some(fixed), Some(part)) if fixed == part => {}
            _ => return None,
        }
    }
}

fn may_steer(state: &State, request: &Incoming, has_session: bool) -> bool {
    let token_fits = request.header("x-api-token").is_some_and(|token| token.eq_ignore_ascii_case(&state.api_token));
    state.config.edition.scan_api() || (has_session && token_fits)
}
